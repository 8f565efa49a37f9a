"""A certificate authority that the tests' clients trust, and the mail servers of the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from trustme import CA

from tests.mailserver import MailServer


@pytest.fixture(scope="session")
def authority() -> CA:
    """Made once: keys take time."""
    return CA()


@pytest.fixture
def trusted(authority: CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CA:
    """The same authority, trusted by the TLS contexts made from now on in this test."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return authority


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A plain mail server."""
    with MailServer() as server:
        yield server
