"""What goes wrong for a person at the command line: the cause in one line, what to do in the next, and an exit code.

The codes are promised to scripts: `sagactl --help` and docs/cli.md list them, and a test compares.
"""

import enum


class ExitCode(enum.IntEnum):
    """What a script learns from how sagactl ended."""

    OK = 0
    NO = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_FOUND = 4
    CONFLICT = 5
    BUG = 70
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS = {
    ExitCode.OK: "done, and the answer is yes",
    ExitCode.NO: "the answer is no: the books do not balance, an order was cancelled, a replay differs, "
    "doctor finds something wrong",
    ExitCode.USAGE: "the command line or its input is wrong",
    ExitCode.UNREACHABLE: "a service does not answer, or cannot serve now; try again",
    ExitCode.NOT_FOUND: "there is no such saga, order or batch",
    ExitCode.CONFLICT: "it stands in a state that does not allow this; nothing was changed",
    ExitCode.BUG: "a mistake in sagactl itself; please report it",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
    ExitCode.PIPE_CLOSED: "whoever read the output went away",
}


class Failure(Exception):
    """A command cannot go on. Print `cause`, then `remedy`, and end with `code`."""

    code = ExitCode.NO

    def __init__(self, cause: str, remedy: str = "") -> None:
        """Keep both lines."""
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


class AnswerIsNo(Failure):
    """The question was answered, and the answer is no."""


class BadInput(Failure):
    """The input breaks a rule. Correct it and run the command again."""

    code = ExitCode.USAGE


class Unreachable(Failure):
    """A service does not answer, or answers what nobody can read. Start it, or correct its address."""

    code = ExitCode.UNREACHABLE


class NotFound(Failure):
    """What was asked for does not exist. Look at the list for what does."""

    code = ExitCode.NOT_FOUND


class Conflict(Failure):
    """The thing exists, in a state that does not allow this. Describe it to see which."""

    code = ExitCode.CONFLICT
