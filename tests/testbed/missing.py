"""A component that this machine lacks, said in a way that nobody overlooks."""


class Missing(Exception):
    """A test needs `component`, and this machine does not have it."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component}: {reason}")
        self.component = component
        self.reason = reason
