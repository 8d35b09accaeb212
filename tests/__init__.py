"""Laws of the product, and the testbed they run on."""
