"""The kit's own tables in a schema, as SQL names them, and the statements upon them.

A writer numbers its commits in a row of its own, within each transaction: so it is known what became of a commit whose
answer was lost. The number of the transaction itself would not do, for a server that crashed gives it away again.
"""
# ruff: noqa: S608 - names in SQL are identifiers, checked and quoted; values are always parameters

from zlib import crc32

from sagakit.adapters.shared.queries import quoted

FACTS = "kit_facts"
FACT_COLUMNS = ("stream", "first_version", "last_version", "at", "facts_json")


class KitTables:
    """Statements upon the facts, claims, progress and outbox of one store."""

    def __init__(self, schema: str) -> None:
        """Make every text."""
        self.schema = schema
        facts, claims, progress, outbox, writers = (
            f"{quoted(schema)}.kit_{name}" for name in ("facts", "claims", "progress", "outbox", "writers")
        )
        self.version_of = f"SELECT last_version FROM {facts} WHERE stream=$1 ORDER BY first_version DESC LIMIT 1"
        self.read_facts = (
            f"SELECT first_version, at, facts_json FROM {facts} WHERE stream=$1 AND last_version>$2"
            " ORDER BY first_version"
        )
        self.append_facts = (
            f"INSERT INTO {facts} (stream, first_version, last_version, at, facts_json)"
            " SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::timestamptz[], $5::text[])"
        )
        self.predecessors = (
            f"SELECT count(*) FROM unnest($1::text[], $2::int[]) AS n(stream, first_version) JOIN {facts} AS f"
            " ON f.stream=n.stream AND f.first_version<n.first_version AND f.last_version=n.first_version-1"
        )
        self.reserve = (
            f"SELECT pg_advisory_xact_lock({crc32(schema.encode()) - (1 << 31)}, n) FROM unnest($1::int[]) AS n"
        )
        self.claim = (
            f"INSERT INTO {claims} (message_id, at) SELECT unnest($1::text[]), $2"
            " ON CONFLICT DO NOTHING RETURNING message_id"
        )
        self.prune_claims = (
            f"DELETE FROM {claims} WHERE message_id IN (SELECT message_id FROM {claims} WHERE at<$1 LIMIT $2)"
        )
        self.progress = f"SELECT topic, partition, next_offset FROM {progress} WHERE consumer=$1"
        moved = "unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[])"
        self.advance = (
            f"UPDATE {progress} AS p SET next_offset=n.next_offset"
            f" FROM {moved} AS n(consumer, topic, partition, expected, next_offset)"
            " WHERE p.consumer=n.consumer AND p.topic=n.topic AND p.partition=n.partition"
            " AND p.next_offset=n.expected RETURNING p.consumer, p.topic, p.partition"
        )
        self.begin_progress = (
            f"INSERT INTO {progress} AS p (consumer, topic, partition, next_offset)"
            " SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[])"
            " ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset=excluded.next_offset"
            " WHERE p.next_offset=0 RETURNING p.consumer, p.topic, p.partition"
        )
        self.send = (
            f"INSERT INTO {outbox} (size, waiting, drafts) SELECT n.size, n.size, n.drafts"
            " FROM unnest($1::int[], $2::bytea[]) WITH ORDINALITY AS n(size, drafts, place) ORDER BY n.place"
            " RETURNING id"
        )
        self.oldest = f"SELECT id, waiting FROM {outbox} ORDER BY id LIMIT $1"
        self.drafts = f"SELECT id, drafts FROM {outbox} WHERE id=ANY($1::bigint[])"
        self.forget_whole = (
            f"DELETE FROM {outbox} AS o USING unnest($1::bigint[], $2::int[]) AS n(id, size)"
            " WHERE o.id=n.id AND o.size=n.size RETURNING o.id"
        )
        self.lock_drafts = f"{self.drafts} ORDER BY id FOR UPDATE"
        self.shorten = f"UPDATE {outbox} SET waiting=$2, drafts=$3 WHERE id=$1"
        self.forget_empty = f"DELETE FROM {outbox} WHERE id=ANY($1::bigint[]) AND waiting=0"
        marked = (
            f"INSERT INTO {writers} AS w (writer, commits, at) VALUES ($1, $2, now()) ON CONFLICT (writer) DO UPDATE"
        )
        self.mark = f"{marked} SET commits=excluded.commits, at=excluded.at"
        self.marked = f"{marked} SET at=excluded.at RETURNING commits"
        self.prune_writers = f"DELETE FROM {writers} WHERE at<$1"
        self.depth = f"SELECT coalesce(sum(waiting), 0) FROM {outbox}"
