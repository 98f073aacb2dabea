"""The promises of the ports, as tests: whoever writes an adapter subclasses them, and gives a way to open it.

Here belong sentences of `sagakit.ports` only, each with the test that shows it. What one adapter promises beyond them
(speed, files, brokers) is tested with that adapter.
"""

from sagakit.testing.contracts.log import LogContract, LogWorld
from sagakit.testing.contracts.store import StoreContract
from sagakit.testing.contracts.things import TABLES

__all__ = ["TABLES", "LogContract", "LogWorld", "StoreContract"]
