"""Emails of a worker have the logo and the color of their group, from the database to the mail server."""

from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest

from domain.values.email_branding import EmailBranding, parse_logo
from projections.repositories.groups import GroupRepository
from tests.support.images import make_png
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.mail_server import MailServer
from workers.runtime import Runtime
from workers.settings import WorkerSettings

LOGO = parse_logo(make_png(240, 64))


@pytest.fixture
def runtime(bench: LedgerBench, mail_server: MailServer) -> Iterator[Runtime]:
    shared = settings_for(bench.database_url).model_dump(by_alias=True)
    chosen = {"smtp_url": mail_server.url, "REDIS_URL": "redis://127.0.0.1:1/0"}
    runtime = Runtime.build(WorkerSettings.model_validate({**shared, **chosen}))
    yield runtime
    runtime.close()


def test_invitations_of_a_group_have_its_branding(
    runtime: Runtime, bench: LedgerBench, mail_server: MailServer
) -> None:
    """Other groups and codes without a group have the default look."""
    GroupRepository(bench.storage).save_branding("blue", EmailBranding(LOGO, "#1f5fbf"), bench.context().now)
    ids = [
        done(bench.redeem(bench.issue(group=group), f"{group}@example.com")).require_reservation().reservation_id
        for group in ("blue", "green", None)
    ]
    runtime.invitation_sender.run(ids, "task", lambda: False)
    emails = [message_from_bytes(each.content, EmailMessage, policy=default) for each in mail_server.received]
    images = {
        str(email["To"]): [part.get_content() for part in email.walk() if part.get_content_maintype() == "image"]
        for email in emails
    }

    assert images == {"blue@example.com": [LOGO.data], "green@example.com": [], "None@example.com": []}
