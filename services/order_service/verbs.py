"""What a person asks of one saga, granted or refused in one transaction, under either of its ids."""

from dataclasses import dataclass

from order_service.saga_shapes import VerbDone
from sagakit.core.decide import Conflict
from sagakit.core.facts import Verb
from sagakit.core.state import SagaState
from sagakit.ports import Clock, Store, Transaction
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.problems import conflict
from sagakit.runtime.sagas import find_saga
from sagakit.runtime.telling import about, ids_of
from sagakit.runtime.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Verbs:
    """Does verbs with the tracker."""

    tracker: Tracker
    store: Store
    clock: Clock

    async def ask(self, name: str, verb: Verb, actor: str, reason: str, step: str | None = None) -> VerbDone | None:
        """Do the verb to the saga of this id or correlation id; None when there is no such saga.

        Raises:
            ProblemError: 409, with the sentence that says why the saga as it stands does not allow it.
        """
        now = self.clock.now()

        async def work(transaction: Transaction) -> tuple[SagaState, Conflict | SagaState] | None:
            before = await find_saga(transaction, name)
            if before is None:
                return None
            ids = [before.saga_id]
            with about(ids_of(before.saga_id, before.correlation_id, before.traceparent)):
                result = await self.tracker.wish(transaction, ids, verb, actor, reason, now, step)
            return before, result[before.saga_id]

        failpoint("http.before_commit")
        found = await self.store.transact(work)
        failpoint("http.after_commit")
        if found is None:
            return None
        before, after = found
        if isinstance(after, Conflict):
            raise conflict("step" if step is not None else "", after.sentence)
        return _done(verb, before, after)


def _done(verb: Verb, before: SagaState, after: SagaState) -> VerbDone:
    effect = after.version != before.version
    said = f"{verb} was asked" if effect else f"{verb} has no effect: {after.saga_id} is {_as_it_stands(after)}"
    return VerbDone(
        saga_id=after.saga_id, verb=verb, effect=effect, phase=after.phase, version=after.version, sentence=said
    )


def _as_it_stands(state: SagaState) -> str:
    asked = f", asked to abort ({state.abort.code})" if state.abort is not None else ""
    return f"{state.phase}{', suspended' if state.suspended else ''}{asked}"
