import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _the_loops_keep_quiet() -> Iterator[None]:
    """What they log is expected here, thousands of times."""
    logger = logging.getLogger("sagakit")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)
