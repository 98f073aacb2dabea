"""The asserts of the suites explain themselves, although the suites are no test modules."""

import pytest

pytest.register_assert_rewrite("sagakit.testing.contracts")
