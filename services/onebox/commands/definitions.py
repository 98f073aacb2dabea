"""Definitions: which there are, and making one known to every service."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebox.commands.options import OutputOption
from onebox.errors import BadInput
from onebox.output import Column, Format, Output
from onebox.session import run

if TYPE_CHECKING:
    from onebox.client import Shop
    from sagakit.core.definition import Saga

KIND = "SagaDefinition"
CORRECT = "correct it; nothing was changed"


def list_(output: OutputOption = Format.TABLE) -> None:
    """List the definitions that the order service follows."""
    run(list_definitions, output)


def apply(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=f"A definition, or a {KIND}, as JSON or as YAML.", dir_okay=False)
    ],
    output: OutputOption = Format.TABLE,
) -> None:
    """Make a definition known to every service; a version never changes, so that a change is a new version."""
    run(lambda shop, out: put_definition(shop, out, read(file)), output)


def read(file: Path) -> "Saga":
    """Return the definition in a file.

    Raises:
        BadInput: with the sentence that says what is wrong.
    """
    from sagakit.core.definition import DefinitionError
    from shop_contracts.definitions import definition_of

    try:
        data = _decoded(file)
        if isinstance(data, dict) and data.get("kind") == KIND:
            data = data.get("spec")
        return definition_of(data)
    except DefinitionError as error:
        raise BadInput(f"{file}: {error}", CORRECT) from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}", "name a file") from None


async def list_definitions(shop: "Shop", out: Output) -> None:
    """Print the definitions."""
    from onebox.answers import DefinitionAnswer
    from sagakit.core.definition_data import from_data

    found = await shop.some("order", "/definitions", "definitions", DefinitionAnswer)

    def stages(each: DefinitionAnswer) -> str:
        return " → ".join(" + ".join(step.name for step in stage) for stage in from_data(each.definition).stages)

    columns = [
        Column[DefinitionAnswer]("DEFINITION", lambda each: each.ref),
        Column[DefinitionAnswer]("STEPS", stages),
        Column[DefinitionAnswer]("TIMEOUT", lambda each: f"{from_data(each.definition).timeout_seconds} s"),
    ]
    out.many(found, lambda each: each.ref, columns)


async def put_definition(shop: "Shop", out: Output, saga: "Saga") -> None:
    """Have a definition published, and tell it."""
    from onebox.answers import DefinitionAnswer
    from onebox.client import path_of
    from shop_contracts.definitions import short_of

    path = path_of("definitions", saga.name, str(saga.version))
    response, answer = await shop.send("PUT", "order", path, DefinitionAnswer, body=short_of(saga))
    news = response.status_code != 200  # noqa: PLR2004 - 202 where it is on its way
    out.one(answer, answer.ref, lambda: f"{saga.ref} {'was published' if news else 'is known already, as it is'}")


def _decoded(file: Path) -> Any:  # noqa: ANN401 - whatever a person wrote
    """Return what is in the file; JSON is YAML too, but needs nothing to be read.

    Raises:
        BadInput: when it is neither.
    """
    import msgspec

    text = file.read_bytes()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return msgspec.yaml.decode(text)
    except ImportError:
        raise BadInput(f"{file} is no JSON, and to read YAML the package PyYAML is needed", "write JSON") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} is neither JSON nor YAML: {error}", CORRECT) from None
