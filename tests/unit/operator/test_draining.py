"""Before the platform is taken away: what runs may end, in bounded time, and then no object is held."""

import pytest
from tests.unit.operator.memory_api import Fault, MemoryApi, MemoryCluster, refused
from tests.unit.operator.operators import KEY, NAME, NAMESPACE, at_once, is_held, manifest

from saga_operator import drain
from saga_operator.cluster import RefusedError
from saga_operator.resources import FINALIZER, ORDER_SAGA_PLURAL
from sagakit.testing.rehearsal import HandClock

OTHERS = "example.com/theirs"


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi(HandClock())


def make(api: MemoryApi, name: str, phase: str | None, *finalizers: str) -> None:
    body = manifest(name)
    body["metadata"]["finalizers"] = list(finalizers or (FINALIZER,))
    api.make(ORDER_SAGA_PLURAL, body | ({"status": {"phase": phase}} if phase else {}))


async def waited(api: MemoryApi, seconds: int = 0, *namespaces: str) -> list[str]:
    left = await drain._wait(MemoryCluster(api), namespaces, NAMESPACE, seconds)
    return [body["metadata"]["name"] for body in left]


async def test_whatever_still_runs_when_the_time_is_over_is_let_go(api: MemoryApi) -> None:
    make(api, "running", "Running")
    make(api, "not-seen", None)
    make(api, "ended", "Completed")
    make(api, "theirs", "Running", OTHERS)
    left = await waited(api)
    assert left == ["ended", "not-seen", "running"]
    for name in left:
        await drain._release(MemoryCluster(api), api.objects[ORDER_SAGA_PLURAL, NAMESPACE, name])
    assert not any(is_held(body) for body in api.objects.values())
    theirs = api.order_saga(NAMESPACE, "theirs")
    assert theirs is not None
    assert theirs["metadata"]["finalizers"] == [OTHERS]


async def test_nobody_waits_when_everything_has_ended(api: MemoryApi) -> None:
    make(api, "ended", "Compensated")
    assert await waited(api, 3600) == ["ended"]


async def test_it_goes_on_as_soon_as_the_last_has_ended(api: MemoryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    make(api, NAME, "Running")
    looks = ends_at_the_third_look(api, monkeypatch)
    assert await waited(api, 3600) == [NAME]
    assert len(looks) in (3, 4)


def ends_at_the_third_look(api: MemoryApi, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the saga end while somebody looks for the third time; return what is asked."""
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.0)
    looks: list[str] = []

    def ends(call: str) -> None:
        looks.append(call)
        if len(looks) == 3:
            api.objects[ORDER_SAGA_PLURAL, *KEY]["status"] = {"phase": "Completed"}

    api.fate = ends
    return looks


async def test_a_namespace_that_was_deleted_keeps_nobody_from_letting_the_others_go(
    api: MemoryApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(drain, "say", said.append)
    make(api, NAME, "Running")
    api.forbidden = {"team-a"}
    ends_at_the_third_look(api, monkeypatch)
    assert await waited(api, 3600, "team-a", NAMESPACE) == [NAME]
    (sentence,) = [line for line in said if "team-a" in line]
    assert "was deleted, or the operator's Role" in sentence


@pytest.mark.parametrize(
    ("forbidden", "namespaces"),
    [({NAMESPACE}, (NAMESPACE, "team-a")), ({"team-a"}, ("team-a",)), ({"team-a", "team-b"}, ("team-a", "team-b"))],
    ids=["that of the release is there", "the only one", "all"],
)
async def test_whoever_may_see_nothing_that_is_there_says_so_and_does_not_end_well(
    forbidden: set[str], namespaces: tuple[str, ...], api: MemoryApi
) -> None:
    api.forbidden = forbidden
    with pytest.raises(RefusedError, match="is forbidden in the namespace"):
        await waited(api, 0, *namespaces)


@pytest.mark.parametrize("status", [409, 404])
def test_somebody_who_writes_at_the_same_time_is_let_through_first(api: MemoryApi, status: int) -> None:
    make(api, NAME, "Running", FINALIZER, OTHERS)
    body = api.order_saga(*KEY)
    assert body is not None
    api.edit(*KEY, suspend=True)
    if status == 404:
        api.fate = lambda call: Fault(refused(404)) if call.startswith("patch") else None
    at_once(drain._release(MemoryCluster(api), body))
    now = api.order_saga(*KEY)
    assert now is not None
    assert now["metadata"]["finalizers"] == ([OTHERS] if status == 409 else [FINALIZER, OTHERS])


def test_an_object_that_is_being_deleted_is_gone_when_it_is_let_go(api: MemoryApi) -> None:
    make(api, NAME, "Running")
    api.remove(*KEY)
    body = api.order_saga(*KEY)
    assert body is not None
    at_once(drain._release(MemoryCluster(api), body))
    assert api.order_saga(*KEY) is None
