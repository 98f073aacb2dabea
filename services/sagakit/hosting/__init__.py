"""A service as a process over the adapters that the environment names.

Here belong the choice between SQLite, Kafka and PostgreSQL, what happens when a process starts and ends, and the one
line that tells its operator what to mend. What a service does does not.
"""

from sagakit.hosting.adapters import Adapters, opened
from sagakit.hosting.process import CannotStartError, run, serve

__all__ = ["Adapters", "CannotStartError", "opened", "run", "serve"]
