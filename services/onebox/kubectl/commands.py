"""The commands of the plugin: those of sagactl that make sense in a cluster, made from them and not written again."""

import functools
import inspect
from collections.abc import Callable, Iterator
from copy import copy
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from onebox import cli
from onebox.errors import MEANINGS
from onebox.kubectl.wording import PROGRAM, worded
from onebox.session import REACH, guarded

if TYPE_CHECKING:
    from onebox.kubectl.cluster import Wanted

LEFT_OUT = frozenset({"demo", "dev", "service", "topics", "database", "dlq", "offsets", "analytics verify"})
"""What runs a shop on this machine, or goes to the log and the stores, which a cluster keeps to itself."""
SAGA_WORDS = ("ID", "[DEFINITION|ID]")
PANEL = "Cluster"
CONTEXT = "typer_context"
SETTINGS = (
    "Where a command takes a saga, it takes the name of an OrderSaga too; osaga/NAME means that for certain. "
    "SAGACTL_ACTOR names who asks; SAGACTL_TIMEOUT_SECONDS bounds each answer."
)

ContextOption = Annotated[
    str | None, typer.Option("--context", help="The cluster, as your kubeconfig calls it.", rich_help_panel=PANEL)
]
KubeconfigOption = Annotated[
    str | None, typer.Option("--kubeconfig", help="The file that knows the clusters.", rich_help_panel=PANEL)
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Where the release and the OrderSagas are; else that of the context.",
        rich_help_panel=PANEL,
    ),
]
ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release",
        metavar="[NAMESPACE/]NAME",
        help="The release, where there are several, or elsewhere.",
        rich_help_panel=PANEL,
    ),
]
OPTIONS = {
    "context": ContextOption,
    "kubeconfig": KubeconfigOption,
    "namespace": NamespaceOption,
    "release": ReleaseOption,
}


def _made() -> typer.Typer:
    """Return the commands."""
    epilog = ["Exit codes:", *(f"{code.value}  {meaning}" for code, meaning in MEANINGS.items()), SETTINGS]
    made = typer.Typer(
        name=PROGRAM,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog="\n\n".join(epilog).replace("sagactl", PROGRAM),
    )
    made.callback()(_plugin)
    _take(cli.app, made, "")
    return made


def _plugin(
    typer_context: typer.Context,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    namespace: NamespaceOption = None,
    release: ReleaseOption = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=cli.tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    _no_color: Annotated[
        bool, typer.Option("--no-color", help="Print no colours; works behind a command too, as does NO_COLOR=1.")
    ] = False,
) -> None:
    """Place orders in a shop that runs in a cluster, and see and steer their sagas."""
    typer_context.obj = {"context": context, "kubeconfig": kubeconfig, "namespace": namespace, "release": release}


def _take(source: typer.Typer, into: typer.Typer, path: str) -> None:
    """Take over the commands of a group, and of the groups in it."""
    for known in source.registered_commands:
        if f"{path}{known.name}" not in LEFT_OUT:
            _take_one(known, into)
    for group in source.registered_groups:
        if group.typer_instance is not None and f"{path}{group.name}" not in LEFT_OUT:
            inner = typer.Typer(no_args_is_help=True, help=group.typer_instance.info.help)
            into.add_typer(inner, name=group.name, rich_help_panel=group.rich_help_panel)
            _take(group.typer_instance, inner, f"{group.name} ")


def _take_one(known: CommandInfo, into: typer.Typer) -> None:
    assert known.callback is not None
    does = _in_a_cluster(known.callback)
    into.command(known.name, epilog=worded(known.epilog or ""), rich_help_panel=known.rich_help_panel)(does)


def _in_a_cluster(does: Callable[..., Any]) -> Callable[..., None]:
    """Return the command with the options that name a cluster; it reaches the shop there, and takes names for sagas."""
    parameters = list(_parameters(does))
    sagas = [each.name for each in parameters if _names_sagas(each)]

    @functools.wraps(does)
    def command(**given: Any) -> None:  # noqa: ANN401 - whatever the command takes
        wanted = _wanted(given.pop(CONTEXT), {name: given.pop(name) for name in OPTIONS})
        guarded(lambda: _do(does, given, sagas, wanted))

    added = [inspect.Parameter(CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    added += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option)
        for name, option in OPTIONS.items()
    ]
    every = [*parameters, *added]
    command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in every}
    return command


def _do(does: Callable[..., Any], given: dict[str, Any], sagas: list[str], wanted: "Wanted") -> None:
    from onebox.kubectl.cluster import connected

    with connected(wanted) as cluster:
        for name in sagas:
            said = given[name]
            given[name] = [cluster.saga(each) for each in said] if isinstance(said, list) else cluster.saga(said)
        reached = REACH.set(cluster)
        try:
            does(**given)
        finally:
            REACH.reset(reached)


def _wanted(context: typer.Context, here: dict[str, str | None]) -> "Wanted":
    """Return where the shop is, by the options behind the command and then by those before it."""
    from onebox.kubectl.cluster import Wanted

    return Wanted(**here).over(Wanted(**context.find_root().obj))


def _parameters(does: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    """Yield the command's parameters; `-n` is not one of them, for to kubectl it is the namespace."""
    hints = get_type_hints(does, include_extras=True)
    for parameter in inspect.signature(does).parameters.values():
        hint = hints[parameter.name]
        if get_origin(hint) is Annotated:
            kind, info = get_args(hint)
            hint = Annotated[kind, _without_n(info)]
        yield parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY)


def _without_n(info: OptionInfo | ArgumentInfo) -> OptionInfo | ArgumentInfo:
    kept = copy(info)
    kept.param_decls = tuple(word for word in info.param_decls or () if word != "-n")
    return kept


def _names_sagas(parameter: inspect.Parameter) -> bool:
    """Tell whether it takes a saga by its id, or several."""
    info = get_args(parameter.annotation)[1]
    if isinstance(info, ArgumentInfo):
        return info.metavar in SAGA_WORDS
    return "--id" in (info.default, *(info.param_decls or ()))


app = _made()
