"""Text for a terminal: what somebody else wrote may hold words that the terminal would obey."""


def plain(text: str, kept: str = "\n\t") -> str:
    """Return the text without anything that a terminal would obey: whoever wrote it is not to be trusted."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)
