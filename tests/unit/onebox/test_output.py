"""Whatever somebody wrote into an order, the terminal of whoever looks at it obeys only her."""

import msgspec
import pytest

from onebox.output import Column, Format, Output
from sagakit.runtime.plain import plain

EVIL = "\x1b]52;c;cm0gLXJm\x07 \x9b2J \x7f \r \u202e \ud800"
SHOWN = "\\x1b]52;c;cm0gLXJm\\x07 \\x9b2J \\x7f \\r \\u202e \\ud800"


class Row(msgspec.Struct, frozen=True):
    name: str


def test_a_terminal_obeys_nothing_of_a_plain_text() -> None:
    assert plain(EVIL) == SHOWN
    assert plain(plain(EVIL)) == SHOWN


def test_a_plain_text_keeps_its_lines_its_columns_and_every_script() -> None:
    text = "✔ Größe\t注文\n  | 3 × prod-1 … 🙂"
    assert plain(text) == text
    assert plain(text, kept="") == "✔ Größe\\t注文\\n  | 3 × prod-1 … 🙂"


def test_words_and_notes_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    Output().say(EVIL)
    Output().note(EVIL)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


@pytest.mark.parametrize("status", [False, True])
def test_a_cell_of_a_table_is_plain_and_has_one_line(capsys: pytest.CaptureFixture[str], status: bool) -> None:
    row = Row(f"{EVIL}\norder-8  Completed")
    Output().many([row], lambda row: row.name, [Column[Row]("NAME", lambda row: row.name, status=status)])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == ["NAME", f"{SHOWN}\\norder-8  Completed"]


@pytest.mark.parametrize("form", [Format.JSON, Format.JSONL])
def test_json_says_the_same_in_characters_that_no_terminal_obeys(
    capsys: pytest.CaptureFixture[str], form: Format
) -> None:
    row = Row(EVIL.removesuffix("\ud800"))
    Output(form).many([row], lambda row: row.name, [])
    many = capsys.readouterr().out
    Output(form).one(row, row.name, str)
    one = capsys.readouterr().out
    assert all(letter.isprintable() or letter in "\n\u202e" for letter in many + one)
    assert msgspec.json.decode(one, type=Row) == row
    assert msgspec.json.decode(f"[{many}]" if form is Format.JSONL else many, type=list[Row]) == [row]


def test_a_name_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Format.NAME).one(Row(EVIL), EVIL, str)
    Output(Format.NAME).many([Row(EVIL)], lambda row: row.name, [])
    assert capsys.readouterr().out == f"{SHOWN}\n" * 2
