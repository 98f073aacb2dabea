"""What a line says of a saga is what these tests are about, so none begins with that of a test before it."""

from collections.abc import Iterator

import pytest

from sagakit.runtime.telling import about


@pytest.fixture(autouse=True)
def no_saga_of_a_test_before() -> Iterator[None]:
    """Forget the saga of a simulated service that was killed half way: its steps run in the context of the tests."""
    with about(None):
        yield
