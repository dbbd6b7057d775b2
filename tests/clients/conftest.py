"""The demo model behind a server, for clients that others wrote. `make clients` installs them."""

from collections.abc import Iterator

import pytest

import workbench as wb
from tests.apps.serving import running


@pytest.fixture(scope="session")
def session() -> Iterator[wb.Session]:
    opened = wb.load("demo")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def url(session: wb.Session) -> Iterator[str]:
    with running(session) as address:
        yield address
