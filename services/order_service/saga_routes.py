"""Sagas over HTTP: which there are, why one waits, what it went through, and the verbs."""

from dataclasses import dataclass

import msgspec

from order_service.inputs import HistoryPage, SagaList, SagaPath, SagaVerb, StepWhy
from order_service.saga_shapes import History, SagaDetail, Sagas, VerbDone, history_of, line_of, saga_detail
from order_service.verbs import Verbs
from sagakit.core.facts import Verb, decode_fact
from sagakit.ports import Clock, Reader, Store
from sagakit.runtime.http.problems import ProblemError, conflict, invalid, not_found
from sagakit.runtime.http.routes import Call, Handler, Reply, Route
from sagakit.runtime.paging import InvalidCursorError
from sagakit.runtime.sagas import SagaFilter, find_saga, page_of_sagas
from sagakit.runtime.tracker import Tracker

TAG = "Sagas"
SUMMARIES = {
    Verb.RETRY: "Try a stuck step again",
    Verb.SKIP: "Go on without what a stuck step would have done",
    Verb.MARK_DONE: "Take a stuck step as done, because somebody did it by hand",
    Verb.CANCEL: "Ask the saga to abort: what happened is compensated, unless the pivot wins",
    Verb.KILL: "End the saga and leave everything as it is",
    Verb.SUSPEND: "Hold the steps that have not begun",
    Verb.RESUME: "Let the steps that were held begin",
}


@dataclass(frozen=True, slots=True)
class SagaRoutes:
    """Answers about sagas."""

    tracker: Tracker
    verbs: Verbs
    store: Store
    clock: Clock

    def routes(self) -> list[Route]:
        """Return every route of sagas."""

        def get(
            path: str, handler: Handler, summary: str, returns: type[msgspec.Struct], params: type[msgspec.Struct]
        ) -> Route:
            return Route(
                method="GET",
                path=path,
                handler=handler,
                summary=summary,
                returns={200: returns},
                params=params,
                problems=() if params is SagaList else (404,),
                tag=TAG,
            )

        return [
            get("/sagas", self.list_sagas, "List sagas, the latest begun first", Sagas, SagaList),
            get("/sagas/{sagaId}", self.get_saga, "One saga, and what it waits for", SagaDetail, SagaPath),
            get("/sagas/{sagaId}/history", self.list_history, "What a saga went through", History, HistoryPage),
            *(self._verb(verb) for verb in Verb),
        ]

    async def list_sagas(self, call: Call[SagaList, None]) -> Sagas:
        """List sagas by phase and reason."""
        params, now = call.params, self.clock.now()
        wanted = SagaFilter(params.phase, params.reason)
        try:
            page = await self.store.view(lambda reader: page_of_sagas(reader, wanted, params.cursor, params.limit))
        except InvalidCursorError as error:
            raise invalid("cursor", str(error)) from None
        return Sagas(sagas=[line_of(state) for state in page.records], next_cursor=page.next_cursor, as_of=now)

    async def get_saga(self, call: Call[SagaPath, None]) -> SagaDetail:
        """Return the saga of this id, or else of this correlation id."""
        now = self.clock.now()
        state = await self.store.view(lambda reader: find_saga(reader, call.params.saga_id))
        if state is None:
            raise _no_saga(call.params.saga_id)
        definition = self.tracker.sagas.get(state.definition)
        if definition is None:
            raise conflict("sagaId", f"the definition {state.definition} of this saga is not known here")
        return saga_detail(definition, state, now)

    async def list_history(self, call: Call[HistoryPage, None]) -> History:
        """List the facts of the saga, the oldest first."""
        after, limit = int(call.params.cursor or 0), call.params.limit

        async def look(reader: Reader) -> History | None:
            state = await find_saga(reader, call.params.saga_id)
            if state is None:
                return None
            stored = (await reader.read(state.saga_id, after))[: limit + 1]
            page = [(each.version, decode_fact(each.body)) for each in stored[:limit]]
            more = str(page[-1][0]) if len(stored) > limit else None
            return History(saga_id=state.saga_id, facts=history_of(page), next_cursor=more)

        found = await self.store.view(look)
        if found is None:
            raise _no_saga(call.params.saga_id)
        return found

    def _verb(self, verb: Verb) -> Route:
        async def do(call: Call[SagaVerb, StepWhy]) -> Reply:
            params, body = call.params, call.body
            done = await self.verbs.ask(params.saga_id, verb, params.actor, body.reason, body.step)
            if done is None:
                raise _no_saga(params.saga_id)
            return Reply(202 if done.effect else 200, done)

        do.__name__ = f"{verb.replace('-', '_')}_saga"
        return Route(
            method="POST",
            path=f"/sagas/{{sagaId}}/{verb}",
            handler=do,
            summary=SUMMARIES[verb],
            returns={202: VerbDone, 200: VerbDone},
            params=SagaVerb,
            body=StepWhy,
            problems=(404, 409),
            tag=TAG,
        )


def _no_saga(name: str) -> ProblemError:
    return not_found("sagaId", f"there is no saga with the id or correlation id {name!r}")
