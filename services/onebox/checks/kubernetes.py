"""A cluster, by one's own kubectl: does it answer and know our resources, does the release run, who may what?"""

import asyncio
import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from onebox.checks.findings import Area, Finding, skipped, well, wrong
from onebox.kubectl.proxy import Kubectl

GROUP = "/apis/sagaplane.io/v1alpha1"
RESOURCES = ("ordersagas", "ordersagas/status", "sagadefinitions")
SELECTOR = "app.kubernetes.io/part-of=sagaplane"
COMPONENT = "app.kubernetes.io/component"
PERSON = (
    ("list", "services"),
    ("get", "services/proxy"),
    ("create", "services/proxy"),
    ("get", "ordersagas.sagaplane.io"),
    ("list", "ordersagas.sagaplane.io"),
)
"""What a person needs for `kubectl saga`."""
OPERATOR = (
    ("list", "ordersagas.sagaplane.io"),
    ("watch", "ordersagas.sagaplane.io"),
    ("patch", "ordersagas.sagaplane.io"),
    ("patch", "ordersagas.sagaplane.io/status"),
    ("list", "sagadefinitions.sagaplane.io"),
    ("create", "leases.coordination.k8s.io"),
)
SECONDS_MAX = 20.0
ABOUT = "cluster"
SKIP = "or leave it out: sagactl doctor --skip kubernetes"


@dataclass(frozen=True, slots=True)
class Done:
    """How one call of kubectl ended, and the last line of what it complained of."""

    code: int
    out: str
    error: str


async def check(kubectl: Kubectl, namespace: str | None = None) -> list[Finding]:
    """Return how the shop of this namespace stands there, or of all namespaces."""
    if shutil.which("kubectl") is None:
        return [_skipped("there is no kubectl on the PATH")]
    context = await _ask(kubectl, "config", "view", "--minify", "--output=jsonpath={.current-context}")
    name = context.out.strip()
    if context.code or not name:
        return [_skipped("kubectl knows no cluster")]
    version = await _ask(kubectl, "version", "--output=json", "--request-timeout=5s")
    if version.code:
        remedy = f"check it: {kubectl.line('version')}; {SKIP}"
        return [_wrong(ABOUT, f"{name} does not answer: {version.error}", remedy)]
    known, workloads = await asyncio.gather(_known(kubectl), _workloads(kubectl, namespace))
    if not known and not workloads:
        return [_skipped(f"{name} answers, and nobody installed Sagaplane there")]
    where = namespace or (workloads[0].namespace if workloads else "default")
    rights = await asyncio.gather(_person(kubectl, where), _operators(kubectl, workloads))
    return [
        _well(ABOUT, f"{name} answers"),
        *_resources(known),
        *(_workload(kubectl, each) for each in workloads),
        *(finding for findings in rights for finding in findings),
    ]


@dataclass(frozen=True, slots=True)
class Workload:
    """One Deployment or StatefulSet of a release."""

    namespace: str
    name: str
    component: str
    account: str
    wanted: int
    ready: int
    updated: int
    """How many pods are of the newest form."""
    old: int
    """How many there are of an older one."""
    observed: bool
    """Whether its controller has seen that form."""


def _resources(known: Sequence[str]) -> list[Finding]:
    """Return whether the API server knows our resources."""
    missing = [name for name in RESOURCES if name not in known]
    if not missing:
        return [_well("CRDs", f"it knows {', '.join(name for name in RESOURCES if '/' not in name)}")]
    remedy = "install the chart anew with its CRDs, or kubectl apply --server-side --filename k8s/crds"
    return [_wrong("CRDs", f"it does not know {', '.join(missing)} of sagaplane.io/v1alpha1", remedy)]


def _workload(kubectl: Kubectl, its: Workload) -> Finding:
    ready = f"{its.ready} of {its.wanted} ready in {its.namespace}"
    changing = not its.observed or its.updated < its.wanted or its.old > 0
    if its.ready >= its.wanted and not changing:
        return _well(its.name, ready)
    if changing:
        ready += f"; {its.updated if its.observed else 0} of {its.wanted} are of the newest form"
    selector = f"--selector={SELECTOR},{COMPONENT}={its.component}"
    see = kubectl.line(f"--namespace={its.namespace}", "describe", "pods", selector)
    return _wrong(its.name, ready, f"see why: {see}")


async def _known(kubectl: Kubectl) -> list[str]:
    done = await _ask(kubectl, "get", "--raw", GROUP)
    return [] if done.code else [each["name"] for each in _json(done.out).get("resources", ())]


async def _workloads(kubectl: Kubectl, namespace: str | None) -> list[Workload]:
    """Return what runs; where one may not look everywhere, in the context's own namespace."""
    asked = ("get", "deployments,statefulsets", f"--selector={SELECTOR}", "--output=json")
    everywhere: tuple[tuple[str, ...], ...] = (("--all-namespaces",), ())
    for place in ((_in(namespace),),) if namespace else everywhere:
        done = await _ask(kubectl, *asked, *place)
        if not done.code:
            return [_read(item) for item in _json(done.out).get("items", ())]
    return []


def _read(item: Mapping[str, Any]) -> Workload:
    metadata, spec, status = item["metadata"], item["spec"], item.get("status", {})
    updated = status.get("updatedReplicas", 0)
    return Workload(
        metadata["namespace"],
        metadata["name"],
        metadata.get("labels", {}).get(COMPONENT, ""),
        spec["template"]["spec"].get("serviceAccountName", "default"),
        spec.get("replicas", 1),
        status.get("readyReplicas", 0),
        updated,
        status.get("replicas", 0) - updated,
        status.get("observedGeneration", 0) >= metadata.get("generation", 0),
    )


async def _person(kubectl: Kubectl, namespace: str) -> list[Finding]:
    """Return which rights the person lacks."""
    lacking = await _lacking(kubectl, namespace, PERSON)
    if not lacking:
        return [_well("your rights", f"you may do in {namespace} what kubectl saga needs")]
    remedy = f"have somebody give you that: kubectl create role … --namespace={namespace}"
    return [_wrong("your rights", f"in {namespace} you may not {', '.join(lacking)}", remedy)]


async def _operators(kubectl: Kubectl, workloads: Sequence[Workload]) -> list[Finding]:
    """Return which rights the operators lack; only who may speak for others can ask that."""
    found: list[Finding] = []
    for its in workloads:
        if its.component != "operator":
            continue
        account = f"--as=system:serviceaccount:{its.namespace}:{its.account}"
        may = await _ask(kubectl, "auth", "can-i", "impersonate", f"serviceaccounts/{its.account}", _in(its.namespace))
        if may.code:
            found.append(skipped(Area.KUBERNETES, "operator's rights", f"you may not ask for {its.account}"))
            continue
        lacking = await _lacking(kubectl, its.namespace, OPERATOR, account)
        if lacking:
            says = f"{its.account} may not {', '.join(lacking)} in {its.namespace}"
            found.append(_wrong("operator's rights", says, "install the chart anew with rbac.create"))
        else:
            found.append(_well("operator's rights", f"{its.account} may do in {its.namespace} what the operator does"))
    return found


async def _lacking(kubectl: Kubectl, namespace: str, rights: Sequence[tuple[str, str]], *more: str) -> list[str]:
    """Return the rights that are not given; kubectl would take what stands behind a slash for a name."""

    async def given(verb: str, resource: str) -> bool:
        kind, _, part = resource.partition("/")
        of = [f"--subresource={part}"] if part else []
        return not (await _ask(kubectl, "auth", "can-i", verb, kind, *of, _in(namespace), *more)).code

    answers = await asyncio.gather(*(given(verb, resource) for verb, resource in rights))
    return [f"{verb} {resource}" for (verb, resource), yes in zip(rights, answers, strict=True) if not yes]


async def _ask(kubectl: Kubectl, *words: str) -> Done:
    process = await asyncio.create_subprocess_exec(
        *("kubectl", *kubectl.options, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            out, errors = await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return Done(1, "", f"kubectl took more than {SECONDS_MAX:g} s")
    lines = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
    assert process.returncode is not None
    return Done(process.returncode, out.decode(errors="replace"), lines[-1] if lines else "it said nothing")


def _json(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _in(namespace: str) -> str:
    return f"--namespace={namespace}"


def _well(about: str, says: str) -> Finding:
    return well(Area.KUBERNETES, about, says)


def _wrong(about: str, says: str, remedy: str) -> Finding:
    return wrong(Area.KUBERNETES, about, says, remedy)


def _skipped(says: str) -> Finding:
    return skipped(Area.KUBERNETES, ABOUT, says)
