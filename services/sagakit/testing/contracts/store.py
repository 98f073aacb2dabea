"""All that a `Store` promises."""

import pytest

from sagakit.testing.contracts.outbox import OutboxContract
from sagakit.testing.contracts.queries import QueriesContract
from sagakit.testing.contracts.records import RecordsContract
from sagakit.testing.contracts.streams import StreamsContract
from sagakit.testing.contracts.transactions import TransactionsContract
from sagakit.testing.contracts.unique import UniqueContract


@pytest.mark.anyio
class StoreContract(
    RecordsContract, QueriesContract, UniqueContract, TransactionsContract, StreamsContract, OutboxContract
):
    """Subclass this as `Test…` beside a fixture `open_store`.

    The fixture gives a function that opens the same database each time, as a process would after a crash of the one
    before, with the tables `TABLES` of this package. The fixture closes what was opened.
    """
