"""A store in PostgreSQL: what several instances of a service share, and what a fail-over finds again.

Here belong SQL, connections, and the translation of PostgreSQL's errors. What a record or a message means does not.
"""

from sagakit.adapters.postgres.connections import Address
from sagakit.adapters.postgres.errors import WrongDatabaseError
from sagakit.adapters.postgres.store import PostgresStore

__all__ = ["Address", "PostgresStore", "WrongDatabaseError"]
