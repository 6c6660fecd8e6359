"""The fixtures that pytest finds by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .testing import Server


@pytest.fixture(scope="session")
def arqonbus_server() -> Iterator[Server]:
    """One server for the whole test session. Use rooms of your own in each test."""
    with Server() as server:
        yield server


@pytest.fixture
def arqonbus_fresh_server() -> Iterator[Server]:
    """A server for this test alone, which may be killed and started again."""
    with Server() as server:
        yield server
