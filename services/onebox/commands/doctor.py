"""What is wrong with the platform, and what to do: one line for each thing, and nothing is changed."""

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer

from onebox.checks.findings import Area
from onebox.commands.options import OutputOption
from onebox.commands.platform import PARTITIONS_MAX, ReplicationOption
from onebox.errors import AnswerIsNo
from onebox.output import Column, Format, Output
from onebox.session import REACH, run

if TYPE_CHECKING:
    from onebox.checks.findings import Finding
    from onebox.client import Shop

KEPT = "a cluster keeps it to itself; /readyz of the services speaks of it"


def doctor(
    skip: Annotated[
        list[Area] | None, typer.Option("--skip", help="Leave this out; may be given often.", case_sensitive=False)
    ] = None,
    partitions: Annotated[
        int | None, typer.Option("--partitions", min=1, max=PARTITIONS_MAX, help="That each topic ought to have.")
    ] = None,
    replication: ReplicationOption = 1,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say what is wrong and what to do, a line for each thing: services, clocks, brokers, databases, a cluster.

    It ends with 1 when something is wrong. Brokers and databases are those that the environment names; the cluster is
    that of your kubeconfig.
    """
    run(lambda shop, out: examine(shop, out, frozenset(skip or ()), partitions, replication), output)


async def examine(shop: "Shop", out: Output, skip: Collection[Area], partitions: int | None, replication: int) -> None:
    """Print what was found.

    Raises:
        AnswerIsNo: when something is wrong.
    """
    from onebox.checks.findings import Finding, Verdict, told

    found = await findings(shop, skip, partitions, replication)
    if out.for_people:
        out.say(told(found))
    else:
        out.many(found, lambda its: f"{its.area}/{its.about}", [Column[Finding]("SAYS", lambda its: its.sentence)])
    wrong = [its for its in found if its.verdict is Verdict.WRONG]
    if wrong:
        raise AnswerIsNo(f"{len(wrong)} of {len(found)} things are wrong", "do what stands there, and ask once more")


async def findings(shop: "Shop", skip: Collection[Area], partitions: int | None, replication: int) -> "list[Finding]":
    """Return what every check found."""
    from onebox.checks import services

    found: list[Finding] = []
    if not {Area.SERVICES, Area.CLOCKS} <= {*skip}:
        answers = await services.check(shop)
        urls = {} if _in_a_cluster() else shop.settings.urls
        seen = [*services.readiness(answers, urls), *services.clocks(answers)]
        found += [its for its in seen if its.area not in skip]
    found += await _ground(skip, partitions, replication)
    if Area.KUBERNETES not in skip:
        found += await _cluster()
    return found


async def _ground(skip: Collection[Area], partitions: int | None, replication: int) -> "list[Finding]":
    """Return how the log and the stores stand; those of a cluster are not ours to ask."""
    from onebox.checks import ground
    from onebox.checks.findings import skipped

    asked = [area for area in (Area.LOG, Area.STORES) if area not in skip]
    if _in_a_cluster():
        return [skipped(area, "all", KEPT) for area in asked]
    found: list[Finding] = []
    if Area.LOG in asked:
        found += await ground.log(os.environ, partitions, replication)
    if Area.STORES in asked:
        found += await ground.stores(os.environ)
    return found


def _in_a_cluster() -> bool:
    return REACH.get(None) is not None


async def _cluster() -> "list[Finding]":
    from onebox.checks import kubernetes
    from onebox.kubectl.cluster import Cluster
    from onebox.kubectl.proxy import Kubectl

    reach = REACH.get(None)
    if isinstance(reach, Cluster):
        return await kubernetes.check(reach.place.kubectl, reach.place.namespace)
    return await kubernetes.check(Kubectl())
