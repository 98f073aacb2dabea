"""The versions of the views: built again beside the one that answers, swapped in, taken back, dropped."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from onebox.asking import confirm
from onebox.commands.options import OutputOption
from onebox.errors import AnswerIsNo, BadInput, Conflict, NotFound
from onebox.moments import moment
from onebox.output import Column, Format, Output
from onebox.session import guarded, run

if TYPE_CHECKING:
    from onebox.client import Shop
    from onebox.figures import Version

T = TypeVar("T")

SERVICE = "analytics"
LOOK_SECONDS, LOOK_SECONDS_MAX = 0.05, 1.0
UNDER_WAY = ("building", "comparing")
SEE_VERSIONS = "see how the versions stand: sagactl analytics versions"

VersionArgument = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version of the views.")]


def rebuild(
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Begin, and do not wait until it is live.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Build the views anew from the whole log and swap them in; ends with 1 when they are different.

    One that is under way already is shown to its end.
    """
    run(lambda shop, out: rebuild_views(shop, out, wait=not no_wait), output)


def versions(output: OutputOption = Format.TABLE) -> None:
    """List the versions of the views, the newest first."""
    run(list_versions, output)


def accept(version: VersionArgument, output: OutputOption = Format.TABLE) -> None:
    """Make a version live that is different, or was live before."""
    run(lambda shop, out: accept_version(shop, out, version), output)


def drop(
    version: VersionArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
) -> None:
    """Drop a version that is not live, with all its rows; the events stay, so that it can be built again."""
    if not yes:
        guarded(lambda: think(version))
    run(lambda shop, out: drop_version(shop, out, version))


async def rebuild_views(shop: "Shop", out: Output, *, wait: bool) -> None:
    """Begin to build a version, or find the one under way, and print how it ended.

    Raises:
        AnswerIsNo: when it does not say the same as the live one.
    """
    version = await _begun(shop)
    if not wait:
        out.one(
            version, str(version.version), lambda: f"✔ version {version.version} is {version.state}; {SEE_VERSIONS}"
        )
        return
    version = await _built(shop, out, version.version)
    out.one(version, str(version.version), lambda: _built_text(version))
    if version.state == "different":
        raise AnswerIsNo(
            f"version {version.version} does not say the same as the live one",
            f"take it: sagactl analytics accept {version.version}; or not: sagactl analytics drop {version.version}",
        )


async def list_versions(shop: "Shop", out: Output) -> None:
    """Print the versions."""
    from onebox.figures import Version

    found = await _versions(shop)
    columns = [
        Column[Version]("VERSION", lambda row: str(row.version)),
        Column[Version]("STATE", lambda row: row.state),
        Column[Version]("EVENTS", _events),
        Column[Version]("CREATED", lambda row: moment(row.created_at)),
        Column[Version]("ENDED", lambda row: moment(row.ended_at)),
        Column[Version]("DIFFERENCES", lambda row: str(len(row.differences)) if row.differences else "-"),
    ]
    out.many(found, lambda row: str(row.version), columns)


async def accept_version(shop: "Shop", out: Output, number: int) -> None:
    """Make the version live, and say so."""
    from onebox.client import path_of
    from onebox.figures import Version

    path = path_of("analytics", "versions", str(number), "accept")
    made = await _of_versions(lambda: shop.post(SERVICE, path, Version, None))
    out.one(made, str(made.version), lambda: f"✔ version {made.version} is {made.state}")


async def drop_version(shop: "Shop", out: Output, number: int) -> None:
    """Drop the version, and say so."""
    from onebox.client import path_of

    path = path_of("analytics", "versions", str(number))
    await _of_versions(lambda: shop.send("DELETE", SERVICE, path, type(None)))
    out.say(f"✔ version {number} is dropped")


def think(version: int) -> None:
    """Let a person think once more."""
    confirm(
        "drop asks before all rows of a version go",
        f"Version {version} will be gone, with all its rows. Type its number to drop it: ",
        str(version),
        BadInput("not dropped", SEE_VERSIONS),
    )


async def _begun(shop: "Shop") -> "Version":
    from onebox.figures import Version

    try:
        return await shop.post(SERVICE, "/analytics/versions", Version, None)
    except Conflict as refused:
        under_way = next((version for version in await _versions(shop) if version.state in UNDER_WAY), None)
        if under_way is None:
            raise Conflict(refused.cause, SEE_VERSIONS) from None
        return under_way


async def _built(shop: "Shop", out: Output, number: int) -> "Version":
    """Return the version when it is under way no more, with a bar until then.

    Raises:
        NotFound: when somebody dropped it meanwhile.
    """
    import asyncio

    pause = LOOK_SECONDS
    with out.progress(f"version {number}", None) as bar:
        while True:
            version = next((version for version in await _versions(shop) if version.version == number), None)
            if version is None:
                raise NotFound(f"version {number} was dropped meanwhile", SEE_VERSIONS)
            if version.state not in UNDER_WAY:
                return version
            bar(version.events_handled or 0, version.events_total)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LOOK_SECONDS_MAX)


async def _versions(shop: "Shop") -> "list[Version]":
    from onebox.figures import Versions

    return (await shop.get(SERVICE, "/analytics/versions", Versions)).versions


async def _of_versions(ask: "Callable[[], Awaitable[T]]") -> "T":
    """Ask; what is refused about versions is looked up among versions."""
    try:
        return await ask()
    except (Conflict, NotFound) as refused:
        raise type(refused)(refused.cause, SEE_VERSIONS) from None


def _built_text(version: "Version") -> str:
    if version.state == "different":
        return "\n".join([f"✖ version {version.version} is different", *(f"  {each}" for each in version.differences)])
    return f"✔ version {version.version} is {version.state}"


def _events(version: "Version") -> str:
    total = version.events_total
    return f"{version.events_handled} of {total}" if version.events_handled is not None else "-"
