"""Worker steps over a real ledger, mail servers, and a certificate authority that the tests' clients trust."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from trustme import CA

from domain.ports import TextDraft
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.servers.mail_server import MailServer
from workers.sending.delivery_steps import DeliverySteps
from workers.sending.message_factory import MessageFactory


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
    with MailServer() as server:
        yield server


@pytest.fixture
def steps(bench: LedgerBench) -> DeliverySteps:
    reader = bench.reader

    def draft_text(text: str, reservation_id: UUID) -> TextDraft:
        return bench.storage.vault.seal_text(text, uuid4(), reservation_id)

    return DeliverySteps(
        execute=bench.storage.ledger.execute,
        addresses=reader.find_recipients,
        message_factory=MessageFactory(b"secret", "http://127.0.0.1:8000", "ledger.example"),
        draft_text=draft_text,
        now=bench.storage.recorder.clock.now,
        new_id=uuid4,
        worker="w1",
    )
