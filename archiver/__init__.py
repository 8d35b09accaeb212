"""Archives call and meeting recordings where a third party can check them."""
