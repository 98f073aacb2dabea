"""Problem details (RFC 9457): every error looks the same, and names the field and the rule it breaks."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

PROBLEM_JSON = "application/problem+json"
PROBLEM_TYPE = "urn:sagaplane:problem:"
RETRY_AFTER_SECONDS = 1
DEPTH_MAX = 32


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong with a request, and where (RFC 9457)."""

    type: Annotated[str, Meta(description="A URN for the kind of problem.")]
    title: Annotated[str, Meta(description="The kind of problem, in words.")]
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str | None, Meta(description="What is wrong this time.")] = None
    field: Annotated[str | None, Meta(description="A JSON pointer into the body, or the name of a parameter.")] = None
    rule: Annotated[str | None, Meta(description="The rule that the field breaks.")] = None
    reasons: Annotated[list[str], Meta(description="When there are several: each in a sentence.")] = []


class ProblemError(Exception):
    """The request cannot be answered; `problem` is what the client is told, with these headers."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        """Carry what the client is told."""
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.headers = dict(headers or {})


def problem(status: int, kind: str | None = None, **said: Any) -> Problem:  # noqa: ANN401 - the members of Problem
    """Return a problem of this status; `kind` is the last word of its type, by default the status' own name."""
    phrase = HTTPStatus(status).phrase
    word = kind or phrase.lower().replace(" ", "-")
    title = word.replace("-", " ").capitalize()
    return Problem(type=PROBLEM_TYPE + word, title=title, status=status, **said)


def invalid(field: str, rule: str) -> ProblemError:
    """Return the refusal of a value: `field` is a JSON pointer into the body, or the name of a parameter."""
    detail = f"{field}: {rule}" if field else rule
    return ProblemError(problem(400, "invalid-request", detail=detail, field=field, rule=rule))


def not_found(field: str, rule: str) -> ProblemError:
    """Return that there is no such thing; `field` is the parameter that names it."""
    return ProblemError(problem(404, detail=rule, field=field, rule=rule))


def conflict(field: str, rule: str) -> ProblemError:
    """Return that the thing stands as it does not allow what is asked."""
    return ProblemError(problem(409, detail=f"{field}: {rule}" if field else rule, field=field, rule=rule))


def unavailable(detail: str) -> ProblemError:
    """Return that nothing was done and the same request may work a little later."""
    return ProblemError(problem(503, detail=detail), {"Retry-After": str(RETRY_AFTER_SECONDS)})


_WHERE = re.compile(r" - at `(?:key in )?\$(.*)`$", re.DOTALL)
_NAMED = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def broken_rule(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return where (a JSON pointer) and which rule, from what msgspec says."""
    text = str(error)
    where = _WHERE.search(text)
    pointer, rule = "", text
    if where is not None:
        rule = text[: where.start()]
        pointer = "".join(f"/{_escaped(name or index)}" for name, index in _STEP.findall(where.group(1)))
    if named := _NAMED.match(rule):
        missing = named.group(1).startswith("missing")
        return f"{pointer}/{_escaped(named.group(2))}", "is required" if missing else "is not a field here"
    # msgspec shows a pattern as Python source, and Python ends one with \\Z where everybody else writes $.
    return pointer, rule.replace("`", "").replace(r"\\", "\\").replace(r"\Z", "$")


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def nul_at(value: object, pointer: str = "") -> str | None:
    """Return the pointer of the first string with a NUL character in it, keys included."""
    if isinstance(value, str):
        return pointer if "\0" in value else None
    pairs: Any = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for name, inner in pairs:
        at = f"{pointer}/{_escaped(str(name))}"
        if isinstance(name, str) and "\0" in name:
            return at
        if found := nul_at(inner, at):
            return found
    return None


def depth(body: bytes) -> int:
    """Return how deep the brackets of a JSON text nest, strings left out."""
    deepest = now = 0
    for bracket in re.findall(rb"[\[{\]}]", re.sub(rb'"(?:[^"\\]|\\.)*"?', b"", body)):
        now += 1 if bracket in b"[{" else -1
        deepest = max(deepest, now)
    return deepest
