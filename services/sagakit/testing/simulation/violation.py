"""What a rule says when it is broken."""


class Violation(Exception):
    """Something is not as it must be: `check` names the rule, the text says where and what."""

    def __init__(self, check: str, text: str) -> None:
        """Say both in one line."""
        super().__init__(f"{check}: {text}")
        self.check = check
