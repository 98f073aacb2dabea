"""All that a `Log` promises."""

import pytest

from sagakit.testing.contracts.fetching import FetchingContract
from sagakit.testing.contracts.groups import GroupsContract
from sagakit.testing.contracts.publication import PublicationContract
from sagakit.testing.contracts.waiting import WaitingContract
from sagakit.testing.contracts.world import LogWorld


@pytest.mark.anyio
class LogContract(PublicationContract, FetchingContract, WaitingContract, GroupsContract):
    """Subclass this as `Test…` beside a fixture `world` that gives a `LogWorld` with an empty log."""


__all__ = ["LogContract", "LogWorld"]
