"""A person thinks once more before something is done that nobody can take back."""

import sys

from onebox.errors import BadInput


def confirm(asks: str, question: str, answer: str, otherwise: BadInput) -> None:
    """Ask her to type the answer; `asks` says what asks, for a script that cannot answer.

    Raises:
        BadInput: `otherwise`, when she types anything else; another, when nobody is there to ask.
    """
    if not sys.stdin.isatty():
        raise BadInput(f"{asks}, and nobody is there", "add --yes")
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != answer:
        raise otherwise
