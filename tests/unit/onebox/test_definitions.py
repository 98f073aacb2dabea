"""sagactl definitions: what is in a file is read, refused in a sentence, and made known."""

import time
from pathlib import Path

import msgspec
import pytest
from tests.unit.definitions.town import short
from tests.unit.onebox.conftest import Sagactl

from onebox import client
from onebox.commands.definitions import read
from onebox.errors import BadInput
from shop_contracts.definitions import definition_of, short_of

SECONDS_MAX = 30
CAREFUL = short("careful", 2, timeoutSeconds=45)
MANIFEST = f"""
apiVersion: sagaplane.io/v1alpha1
kind: SagaDefinition
metadata: {{name: careful-2}}
spec: {msgspec.json.encode(CAREFUL).decode()}
"""


@pytest.mark.parametrize("text", [msgspec.json.encode(CAREFUL).decode(), MANIFEST], ids=["json", "manifest"])
def test_a_definition_is_read_from_json_and_from_a_manifest(text: str, tmp_path: Path) -> None:
    file = tmp_path / "careful"
    file.write_text(text)
    assert read(file) == definition_of(CAREFUL)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "neither JSON nor YAML"),
        ("[]", "the definition must be a mapping, not a list"),
        ('{"name": "x", "stages": []}', "x/1: a saga needs at least one step"),
    ],
)
def test_what_is_no_definition_is_refused_in_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "careful.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as refused:
        read(file)
    assert sentence in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "nothing.yaml")


def test_short_data_is_the_definition_again() -> None:
    step = {"timeoutSeconds": 3, "retry": {"attemptsMax": 2, "delayMilliseconds": 10}}
    saga = definition_of({**CAREFUL, "stages": [{"steps": [{**s["steps"][0], **step}]} for s in CAREFUL["stages"]]})
    assert definition_of({"name": saga.name, "version": saga.version, **short_of(saga)}) == saga


def test_all_definitions_are_listed_however_many_pages_there_are(
    sagactl: Sagactl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "careful.json"
    file.write_bytes(msgspec.json.encode(CAREFUL))
    monkeypatch.setattr(client, "PAGE_LIMIT_MAX", 1)
    assert sagactl("definitions", "apply", str(file)).code == 0
    give_up = time.monotonic() + SECONDS_MAX
    while "careful/2" not in (listed := sagactl("definitions", "list", "-o", "name")).out:
        assert time.monotonic() < give_up, listed
    assert listed.out.split() == ["careful/2", "order/1"]
