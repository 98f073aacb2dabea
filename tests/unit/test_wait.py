"""A service waits for its servers no longer than it was told to, whatever they do."""

import asyncio
import os
import sys
from pathlib import Path

from tests.unit.adapters.scripted_postgres import ScriptedPostgres, serving

WAIT = Path(__file__).parents[2] / "charts/sagaplane/files/wait.py"
SECONDS_MAX = 40


async def test_a_database_that_never_answers_is_waited_for_no_longer_than_was_said() -> None:
    server = ScriptedPostgres()
    async with serving(server) as url:
        servers = {"SAGAPLANE_DATABASE_URL": url, "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
        waiting = await asyncio.create_subprocess_exec(
            sys.executable,
            WAIT,
            "order",
            "1",
            env={**os.environ, **servers},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(SECONDS_MAX):
                _, said = await waiting.communicate()
        finally:
            if waiting.returncode is None:
                waiting.kill()
                await waiting.wait()
    assert waiting.returncode == 1
    assert b"no answer in time" in said
    assert b"given up after 1 s" in said
    assert "BEGIN" in server.statements
