"""kubectl-saga is sagactl for a shop in a cluster: what is found there, taken for a saga, and in the way."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docs.blocks import blocks, matches
from tests.docs.blocks import commands as printed_by
from tests.unit.onebox.kubectl_stand_in import installed, resource, service
from tests.unit.onebox.live_shop import Answer, LiveShop
from tests.unit.onebox.test_help import LOADED

from onebox.cli import app as sagactl_app
from onebox.cli import execute
from onebox.errors import ExitCode
from onebox.kubectl.api_server import PLURAL, RESOURCES
from onebox.kubectl.commands import LEFT_OUT, app
from onebox.kubectl.wording import PROGRAM, worded
from onebox.layout import PORTS
from onebox.reference import commands
from saga_operator.resources import API_VERSION, ORDER_SAGA_PLURAL

Plugin = Callable[..., Answer]
DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"
PATIENCE_SECONDS = 20.0
NAMES = {name.removeprefix("sagactl ") for name in (each.name for each in commands(sagactl_app, "sagactl"))}
OURS = {name.removeprefix(f"{PROGRAM} ") for name in (each.name for each in commands(app, PROGRAM))}


def until(met: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Stand:
    """The stand-in of a cluster, and the plugin typed against it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.world: dict[str, Any] = {}

    def tell(self, **world: Any) -> None:  # noqa: ANN401 - JSON
        """Put up this world."""
        self.world |= world
        for name, value in installed(self.directory, self.world).items():
            self._monkeypatch.setenv(name, value)

    def type_in(self, *words: str) -> Answer:
        code = execute(words, app, PROGRAM)
        printed = self._capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    @property
    def proxy(self) -> dict[str, Any]:
        """The proxy that was begun last."""
        told: dict[str, Any] = json.loads((self.directory / "proxy.json").read_text())
        return told

    def proxy_is_gone(self) -> bool:
        try:
            os.kill(self.proxy["pid"], 0)
        except ProcessLookupError:
            return True
        return False


@pytest.fixture
def stand(
    tmp_path: Path, shop: LiveShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Stand]:
    """One release in namespace shop, whose services are real."""
    monkeypatch.setenv("SAGACTL_ACTOR", "ada")
    monkeypatch.setenv("COLUMNS", "100")
    made = Stand(tmp_path, monkeypatch, capsys)
    made.tell(
        services=[service(f"one-{name}", "one", name, PORTS[name]) for name in PORTS],
        targets={f"shop/one-{name}": its.port for name, its in shop.services.items()},
    )
    yield made
    if (tmp_path / "proxy.json").exists():
        until(made.proxy_is_gone, "a proxy outlived its command")


def placed(stand: Stand, *more: str) -> str:
    answer = stand.type_in("submit", "--item", "pen:2:9.99", "--wait", "-o", "name", *more)
    assert answer.code == 0, answer.err
    return answer.out.strip()


@pytest.mark.usefixtures("pens")
def test_an_order_is_placed_through_the_api_server_and_its_saga_described(stand: Stand) -> None:
    saga = placed(stand)
    answer = stand.type_in("describe", saga)
    assert answer.code == 0
    assert "✔ Completed" in answer.out
    assert "2 × pen" in answer.out
    assert stand.type_in("audit").code == 0


@pytest.mark.usefixtures("pens")
def test_who_asks_and_which_key_come_through(stand: Stand) -> None:
    assert placed(stand, "--key", "through the cluster") == placed(stand, "--key", "through the cluster")
    saga = placed(stand)
    begun = stand.type_in("batch", "create", "--verb", "cancel", "--id", saga, "--reason", "r").out.strip()
    assert "began; see it: kubectl saga batch show " in begun
    job = begun.split()[-1]
    assert json.loads(stand.type_in("batch", "show", job, "-o", "json").out)["actor"] == "ada"


@pytest.mark.usefixtures("pens")
def test_every_command_takes_the_name_of_a_resource_for_its_saga(stand: Stand) -> None:
    saga = placed(stand)
    stand.tell(resources={"shop": [resource("breakfast", {"phase": "Completed", "sagaId": saga})]})
    assert stand.type_in("events", "breakfast", "-o", "name").out.startswith(f"{saga}/1\n")
    assert f"✔ {saga}" in stand.type_in("replay", "breakfast").out
    assert f"{saga}  ✔ Completed" in stand.type_in("graph", "breakfast").out
    assert saga in stand.type_in("analytics", "order", "breakfast").out
    late = stand.type_in("cancel", "breakfast", "--reason", "r")
    assert late.code == ExitCode.CONFLICT
    assert late.err.startswith(f"error: {saga} has ended")
    dry = stand.type_in("batch", "create", "--verb", "cancel", "--id", "breakfast", "--reason", "r", "--dry-run")
    assert saga in dry.out


@pytest.mark.usefixtures("pens")
def test_a_word_before_the_name_says_that_it_is_one(stand: Stand) -> None:
    saga = placed(stand)
    stand.tell(resources={"shop": [resource("breakfast", {"phase": "Completed", "sagaId": saga})]})
    for said in ("breakfast", "osaga/breakfast", "ordersagas/breakfast", "OrderSaga/breakfast"):
        assert stand.type_in("describe", said, "-o", "name").out.strip() == saga


@pytest.mark.usefixtures("pens")
def test_a_resource_may_be_in_another_namespace_than_the_only_release(stand: Stand) -> None:
    saga = placed(stand)
    stand.tell(resources={"team": [resource("breakfast", {"phase": "Completed", "sagaId": saga})]})
    assert stand.type_in("-n", "team", "describe", "breakfast", "-o", "name").out.strip() == saga
    assert stand.type_in("describe", "breakfast", "-n", "team", "-o", "name").out.strip() == saga
    assert stand.type_in("describe", "breakfast", "-o", "name").code == ExitCode.NOT_FOUND


@pytest.mark.usefixtures("pens")
def test_an_adopted_saga_is_found_before_the_operator_saw_it(stand: Stand) -> None:
    saga = placed(stand)
    stand.tell(resources={"shop": [resource("adopted", {}, {"sagaRef": {"sagaId": saga}})]})
    assert stand.type_in("describe", "adopted", "-o", "name").out.strip() == saga


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "the operator has not seen it"),
        ({"phase": "Pending", "sagaId": "s-1", "message": "suspend is true"}, "suspend is true"),
    ],
)
def test_a_resource_whose_order_is_not_placed_says_why(stand: Stand, status: dict[str, str], why: str) -> None:
    stand.tell(resources={"shop": [resource("early", status)]})
    answer = stand.type_in("describe", "early", "--context", "here")
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.err.splitlines() == [
        f"error: OrderSaga early has no saga yet: {why}",
        "  see how it stands: kubectl --context=here --namespace=shop describe ordersaga early",
    ]


def test_a_resource_that_is_not_there_is_said_where_it_was_named_for_certain(stand: Stand) -> None:
    answer = stand.type_in("describe", "osaga/nobody")
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.err.startswith('error: ordersagas.sagaplane.io "nobody" not found\n')


def test_what_names_no_resource_is_asked_of_the_service_and_its_problem_comes_through(stand: Stand) -> None:
    answer = stand.type_in("describe", "nobody")
    assert answer.code == ExitCode.NOT_FOUND
    assert answer.err.splitlines() == [
        "error: there is no saga with the id or correlation id 'nobody'",
        "  see what there is: kubectl saga list, kubectl saga list --orders, kubectl saga batch list",
    ]


@pytest.mark.usefixtures("pens")
def test_the_list_has_the_name_of_the_resource_beside_the_saga(stand: Stand) -> None:
    unnamed, named = placed(stand), placed(stand)
    others = [resource(f"other-{number}", {"sagaId": f"s-{number}"}) for number in range(5)]
    stand.tell(resources={"shop": [*others, resource("mine", {"sagaId": named}), resource("early", {})]})
    rows = {row.split()[0]: row.split()[1] for row in stand.type_in("list", "--limit", "2").out.splitlines()}
    assert rows == {"SAGA": "RESOURCE", named: "mine", unnamed: "-"}


@pytest.mark.usefixtures("pens")
def test_the_list_is_shown_to_who_may_not_see_resources(stand: Stand) -> None:
    saga = placed(stand)
    stand.tell(refusals={"/apis/": [403, "application/json", '{"kind":"Status","message":"forbidden","code":403}']})
    answer = stand.type_in("list", "--limit", "1")
    assert answer.code == 0
    assert answer.out.splitlines()[1].split()[:2] == [saga, "-"]


def test_the_options_of_kubectl_are_handed_on(stand: Stand, tmp_path: Path) -> None:
    assert stand.type_in("--context", "here", "list", "--kubeconfig", str(tmp_path)).code == 0
    assert stand.proxy["words"][:3] == ["--context=here", f"--kubeconfig={tmp_path}", "proxy"]


def test_the_socket_is_for_nobody_else_and_goes_with_the_command(stand: Stand) -> None:
    seen: list[int] = []
    stand.tell(refusals={"/nothing": [500, "text/plain", ""]})
    from onebox.kubectl.proxy import Kubectl  # noqa: PLC0415

    with Kubectl().proxy() as socket:
        seen.append(socket.parent.stat().st_mode & 0o777)
        assert socket.exists()
    assert seen == [0o700]
    assert not socket.parent.exists()


def test_of_several_releases_one_has_to_be_named(stand: Stand) -> None:
    stand.tell(services=[*stand.world["services"], service("two-order", "two", "order")])
    answer = stand.type_in("list")
    assert answer.code == ExitCode.USAGE
    assert answer.err.splitlines() == [
        "error: there are 2 releases of Sagaplane: one, two",
        "  say which one with --release",
    ]
    assert stand.type_in("list", "--release", "one").code == 0
    assert stand.type_in("list", "-n", "other", "--release", "shop/one").code == 0
    other = stand.type_in("list", "--release", "three")
    assert other.code == ExitCode.USAGE
    assert "no release three of Sagaplane; there are: one, two" in other.err


def test_where_there_is_no_release_that_is_said(stand: Stand) -> None:
    stand.tell(services=[])
    answer = stand.type_in("list")
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.startswith("error: there is no release of Sagaplane in namespace shop\n")


def test_who_may_not_look_elsewhere_is_told_of_her_own_namespace(stand: Stand) -> None:
    stand.tell(refusals={"/api/v1/services": [403, "application/json", '{"kind":"Status","message":"no","code":403}']})
    answer = stand.type_in("list", "-n", "team")
    assert answer.code == ExitCode.UNREACHABLE
    assert "no release of Sagaplane in namespace team" in answer.err


def test_a_service_without_pods_names_the_command_that_shows_why(stand: Stand) -> None:
    stand.tell(targets={})
    answer = stand.type_in("list")
    assert answer.code == ExitCode.UNREACHABLE
    selector = "app.kubernetes.io/instance=one,app.kubernetes.io/component=order"
    assert answer.err.splitlines() == [
        "error: the order service of one has no pod that is ready",
        f"  see why: kubectl --namespace=shop get pods --selector={selector}",
    ]


def test_a_pod_that_refuses_connections_is_told_from_a_service_that_cannot_serve(stand: Stand) -> None:
    stand.tell(targets={"shop/one-order": 1})
    answer = stand.type_in("list")
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.startswith("error: the API server cannot reach the order service of one: dial tcp 10.0.0.7:1: ")
    assert "networkPolicy.clients" in answer.err


def test_a_release_without_a_service_says_so(stand: Stand) -> None:
    stand.tell(services=[each for each in stand.world["services"] if "analytics" not in each["metadata"]["name"]])
    answer = stand.type_in("analytics", "report")
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.startswith("error: one has no analytics service\n")


PROXIED = "/api/v1/namespaces/shop/services/http:one-order:3002/proxy"
OUR_503 = '{"type":"urn:x","title":"Not now","status":503,"detail":"the store is away"}'
FORBIDDEN = (
    'services "http:one-order:3002" is forbidden: User "eve" cannot get resource "services/proxy" in API group "" in '
    'the namespace "shop"'
)
REFUSALS = {
    "ours": (503, "application/problem+json", OUR_503, 3, "the order service cannot serve now: the store is away"),
    "theirs": (503, "application/json", "the server is currently unable", 3, "the API server cannot serve now: the s"),
    "older": (502, "text/plain", "Error trying to reach service: 'EOF'", 3, "the API server cannot reach the order se"),
    "busy": (429, "application/json", "too many requests", 3, "the API server cannot serve now: too many requests"),
    "slow": (504, "application/json", "timed out", 3, "the API server cannot serve now: timed out"),
    "gone": (404, "application/json", 'services "one-order" not found', 3, "the order service of one is not there: s"),
    "forbidden": (403, "application/json", FORBIDDEN, 3, "the cluster does not allow it: services"),
    "unknown": (401, "application/json", "Unauthorized", 3, "the cluster does not know you: Unauthorized"),
    "wrong": (400, "application/json", "no", 2, "the API server refuses: no"),
    "away": (500, "text/plain; charset=utf-8", "dial tcp 10.0.0.1:6443: i/o timeout", 3, "the cluster does not answer"),
    "bug of ours": (500, "application/problem+json", '{"title":"Bug"}', 3, "the order service cannot serve now: Bug"),
    "a page": (200, "text/html", "<html>", 3, "the order service of one answered what kubectl saga cannot read"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_whatever_is_in_the_way_is_a_line_that_says_what_to_do(stand: Stand, name: str) -> None:
    code, kind, text, exit_code, cause = REFUSALS[name]
    said = json.dumps({"kind": "Status", "message": text, "code": code}) if kind == "application/json" else text
    stand.tell(refusals={PROXIED: [code, kind, said]})
    answer = stand.type_in("list")
    first, second = answer.err.splitlines()
    assert first.startswith(f"error: {cause}")
    assert second.startswith("  ")
    assert answer.code == exit_code
    assert not answer.out


def test_who_may_not_is_told_which_right_is_missing(stand: Stand) -> None:
    said = json.dumps({"kind": "Status", "message": FORBIDDEN, "code": 403})
    stand.tell(refusals={PROXIED: [403, "application/json", said]})
    assert stand.type_in("list").err.endswith("  ask for the right to get services/proxy in namespace shop\n")


def test_a_cluster_that_does_not_answer_is_said_before_anything_is_asked_of_a_service(stand: Stand) -> None:
    stand.tell(refusals={"/": [500, "text/plain; charset=utf-8", "dial tcp 10.0.0.1:6443: connect: refused"]})
    answer = stand.type_in("describe", "osaga/x", "--context", "here")
    assert answer.code == ExitCode.UNREACHABLE
    assert answer.err.splitlines() == [
        "error: the cluster does not answer: dial tcp 10.0.0.1:6443: connect: refused",
        "  check it: kubectl --context=here version",
    ]


def test_a_context_that_is_not_there_is_said_by_kubectl(stand: Stand) -> None:
    for words in (("list",), ("list", "-n", "shop")):
        answer = stand.type_in(*words, "--context", "nosuch")
        assert answer.code == ExitCode.USAGE
        assert 'context "nosuch" does not exist\n  see which clusters it knows: kubectl config' in answer.err


def test_a_proxy_that_ends_at_once_says_why(stand: Stand) -> None:
    stand.tell(said="starting\nerror: listen unix: permission denied\n")
    answer = stand.type_in("list")
    assert answer.code == ExitCode.USAGE
    assert answer.err.startswith("error: kubectl proxy did not begin: listen unix: permission denied\n")


def test_without_kubectl_there_is_a_sentence(stand: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    answer = stand.type_in("list")
    assert answer.code == ExitCode.USAGE
    assert answer.err.startswith("error: there is no kubectl on the PATH\n")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A service that is asked and never answers, so that a command goes on until it is ended."""
    with socket.create_server(("127.0.0.1", 0)) as its:
        its.settimeout(PATIENCE_SECONDS)
        yield its


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_proxy_ends_with_the_command_however_that_ends(
    stand: Stand, silent: socket.socket, sent: signal.Signals
) -> None:
    stand.tell(targets={**stand.world["targets"], "shop/one-analytics": silent.getsockname()[1]})
    watching = subprocess.Popen(
        [sys.executable, "-m", "onebox.kubectl", "analytics", "report"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        asked, _ = silent.accept()
        assert not stand.proxy_is_gone()
        watching.send_signal(sent)
        _, told = watching.communicate(timeout=PATIENCE_SECONDS)
        asked.close()
    finally:
        watching.kill()
        watching.communicate()
    until(stand.proxy_is_gone, "the proxy outlived the command")
    assert "Traceback" not in told
    if sent is signal.SIGINT:
        assert watching.returncode == ExitCode.INTERRUPTED
    until(lambda: not Path(stand.proxy["socket"]).parent.exists(), "the directory of the socket stayed")


@pytest.mark.usefixtures("pens")
def test_metrics_come_through_the_api_server_too(stand: Stand) -> None:
    saga = placed(stand)
    assert "told by /metrics of 6 services" in stand.type_in("metrics", saga).out
    assert "6 of 6 services answer" in stand.type_in("top", "--once", "--every", "0.1").out


def test_doctor_leaves_the_log_and_the_stores_to_the_cluster(stand: Stand) -> None:
    stand.tell(targets={name: port for name, port in stand.world["targets"].items() if name != "shop/one-payment"})
    answer = stand.type_in("doctor", "--skip", "kubernetes")
    assert answer.code == ExitCode.NO
    [wrong] = [line for line in answer.out.splitlines() if line.startswith("✖")]
    assert "the payment service of one has no pod that is ready; see why: kubectl --namespace=shop get pods" in wrong
    assert [line.split()[1] for line in answer.out.splitlines() if line.startswith("·")] == ["log", "stores"]


def test_a_failure_of_ours_is_a_sentence_and_ends_the_proxy(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("oops")

    monkeypatch.setattr("onebox.client.Shop.some", stumble)
    answer = stand.type_in("list")
    assert answer.code == ExitCode.BUG
    assert answer.err.startswith("error: kubectl saga made a mistake: RuntimeError: oops\n")
    until(stand.proxy_is_gone, "the proxy outlived the command")


def test_a_line_that_makes_no_sense_is_refused_as_sagactl_does(stand: Stand) -> None:
    answer = stand.type_in("list", "--orders", "--phase", "Completed")
    assert answer.code == ExitCode.USAGE
    assert "orders have" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.usefixtures("pens")
def test_what_the_document_prints_is_what_the_plugin_prints(stand: Stand) -> None:
    placed(stand)
    short = stand.type_in("submit", "--item", "nobody-has-this:1:5", "--wait", "-o", "json").out
    names = {
        "order-out-of-stock": json.loads(short)[0]["id"],
        "order-orchestrated": placed(stand, "--mode", "orchestration"),
    }
    ended = [resource(name, {"phase": "Completed", "sagaId": saga}) for name, saga in names.items()]
    held = "suspend is true: the order is placed when it is false"
    stand.tell(resources={"shop": [*ended, resource("order-suspended", {"phase": "Pending", "message": held})]})
    look, refused = (each for each in blocks(DOCUMENT) if each.kind == "shell-session" and "kubectl saga" in each.body)
    for block in (look, refused):
        for command in printed_by(block):
            answer = stand.type_in(*shlex.split(command.text)[2:])
            printed = answer.out + answer.err
            assert matches(command.output, printed), f"{DOCUMENT}:{command.line}: {command.text}\n{printed}"
        stand.tell(targets={})


def test_the_commands_are_those_of_sagactl_without_what_needs_a_machine() -> None:
    here = {name for name in NAMES if not any(name == left or name.startswith(f"{left} ") for left in LEFT_OUT)}
    assert here == OURS
    assert {"list", "describe", "retry", "batch create", "analytics report", "audit", "submit"} <= OURS
    assert not {"dev", "demo", "service", "topics apply", "dlq list", "offsets check", "analytics verify"} & OURS


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_explains_itself_by_its_own_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([*name.split(), "--help"], app, PROGRAM) == 0
    told = capsys.readouterr().out
    assert f"Usage: kubectl saga {name}" in told
    assert "sagactl" not in told
    assert "--namespace" in told
    assert "--release" in told


def test_the_help_names_no_other_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--help"], app, PROGRAM) == 0
    told = capsys.readouterr().out.replace("SAGACTL_", "")
    assert "sagactl" not in told
    assert "demo" not in told
    assert execute(["--version"], app, PROGRAM) == 0
    assert capsys.readouterr().out.startswith("kubectl saga 0.")


def test_the_help_imports_nothing_that_is_slow() -> None:
    program = LOADED.replace("onebox.cli import execute", "onebox.kubectl.__main__ import app, execute")
    program = program.replace('execute(["--help"])', 'execute(["--help"], app, "kubectl saga")')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_only_commands_are_worded_anew() -> None:
    assert worded("see: sagactl list, sagactl describe ID") == "see: kubectl saga list, kubectl saga describe ID"
    assert worded("CANCELLED by sagactl: the customer called") == "CANCELLED by sagactl: the customer called"


def test_resources_are_where_the_operator_keeps_them() -> None:
    assert (f"/apis/{API_VERSION}", ORDER_SAGA_PLURAL) == (RESOURCES, PLURAL)
