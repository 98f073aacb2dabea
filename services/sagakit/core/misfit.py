"""What msgspec says of data that does not fit, as a sentence of ours: the place first, then what is wrong there."""

import re

_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.+?)`")
_UNKNOWN_VALUE = re.compile(r"Invalid enum value (.+)")
_MISSING = re.compile(r"Object missing required field `(.+?)`")
_REGEX = re.compile(r"Expected `str` matching regex (.+)")
_WRONG = re.compile(r"Expected `(.+?)`, got `(.+?)`")
_BOUND = re.compile(r"Expected `(.+?)` (.+)")
_TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
    "bool": "true or false",
    "datetime": "a time",
}


def parted(error: str) -> tuple[str, str]:
    """Return what msgspec says is wrong, and the place, which is empty for the whole."""
    what, _, place = error.partition(" - at `$")
    return what, place.removesuffix("`")


def sentence(what: str, where: str) -> str:
    """Return msgspec's words about this place as a sentence of ours."""
    if found := _UNKNOWN_FIELD.fullmatch(what):
        return f"{where} has a field {found[1]!r}, which is not known"
    if found := _UNKNOWN_VALUE.fullmatch(what):
        return f"{where} cannot be {found[1]}"
    if found := _MISSING.fullmatch(what):
        return f"{where} needs a field {found[1]!r}"
    if found := _REGEX.fullmatch(what):
        return f"{where} is not of the form {found[1]}"
    if found := _WRONG.fullmatch(what):
        return f"{where} must be {_type(found[1])}, not {_type(found[2])}"
    if found := _BOUND.fullmatch(what):
        return f"{where} must be {_type(found[1])} {found[2]}"
    return f"{where}: {what}"


def _type(names: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names.split(" | "))
