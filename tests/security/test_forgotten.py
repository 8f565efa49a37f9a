"""Erase a person, then try to recover the data: from the database, a restored backup, and a process's memory."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from api.cli.embedded.services.binaries import find_postgres_program
from api.settings import ApiSettings
from domain.ports import Rejected
from projections.verification.verify import verify
from tests.integration.conftest import app, settings
from tests.support.clients.app_client import AppClient
from tests.support.clients.in_process_app import started
from tests.support.clients.staff_browser import StaffBrowser, add_staff
from tests.support.ledger.code_template import make_template
from tests.support.ledger.rebuilds import NoProgress
from tests.support.secret_search import dump, found_in
from tests.support.servers.databases import database_of, drop, execute
from tests.support.waiting import WAIT_S_MAX, wait_for

__all__ = ["app", "settings"]

PERSON, WORDS, REASON = "xiao.hong@example.com", "mailbox of xiao hong is full", "she called from home"
GRACE = timedelta(days=9)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def erased_reservation_id(app: AppClient) -> str:
    """A recipient who did all that leaves a trace; return the id of a reservation of theirs."""
    code = app.issue(make_template(max_uses=2, bound=False))
    reservation_id = str(app.redeem(code, PERSON, headers={"Idempotency-Key": "hers"}).json()["reservation_id"])
    reply = Rejected(server="mx:25", reason="temporary", final=False, reply_code=452, reply=WORDS)
    app.attempt(reservation_id, reply)
    sent = app.redeem(app.issue(), PERSON).json()["reservation_id"]
    app.attempt(sent)
    used_up = app.issue()
    app.attempt(app.redeem(used_up, "other@example.com").json()["reservation_id"])
    assert app.redeem(used_up, PERSON).status_code == 400
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    browser = admin(app)
    browser.submit(f"/support/reservations/{reservation_id}/unmask", reason=REASON)
    browser.submit(f"/support/reservations/{reservation_id}/notes", note=WORDS, nonce="n1")
    assert PERSON in browser.get(f"/support/reservations/{reservation_id}").text
    return reservation_id


def admin(app: AppClient) -> StaffBrowser:
    browser = StaffBrowser(app)
    assert browser.sign_in("admin@staff.example.com", PASSWORD).status_code == 303
    return browser


def sealed_of(app: AppClient) -> dict[str, str]:
    """What a thief with the keys would open, and what they would look the person up by: rows of the vault, in hex."""
    queries = {
        "digest": "SELECT digest FROM recipients WHERE recipient_id = %s",
        "address": "SELECT sealed FROM recipients WHERE recipient_id = %s",
        "text": "SELECT p.sealed FROM private_texts p JOIN reservations USING (reservation_id) WHERE recipient_id = %s",
        "reason": "SELECT p.sealed FROM private_texts p JOIN audit a USING (text_id)"
        " WHERE a.subject_id IN (SELECT reservation_id FROM reservations WHERE recipient_id = %s)",
        "key": "SELECT scope_digest FROM idempotency_keys JOIN reservations USING (reservation_id)"
        " WHERE recipient_id = %s",
    }
    recipient_id = person(app)
    with app.services.storage.datastore.get_connection() as conn:
        return {
            f"{name} {number}": bytes(next(iter(row.values()))).hex()
            for name, query in queries.items()
            for number, row in enumerate(conn.execute(query.encode(), (recipient_id,)).fetchall())
        }


def person(app: AppClient) -> UUID:
    digests = list(app.services.storage.vault.compute_digests("recipient", PERSON))
    with app.services.storage.datastore.get_connection() as conn:
        row = conn.execute("SELECT recipient_id FROM recipients WHERE digest = ANY(%s)", (digests,)).fetchone()
    assert row is not None
    return UUID(str(row["recipient_id"]))


def wait_for_limit_report(app: AppClient) -> None:
    """Wait until the backend has told the others what it counted for the person, so that erasing has it to delete."""
    with app.services.storage.datastore.get_connection() as conn:
        wait_for(lambda: conn.execute("SELECT FROM limit_reports WHERE 'recipient' = ANY(limits)").fetchall())


def forget(app: AppClient) -> None:
    body = {"email": PERSON, "reason": "asked by letter"}
    assert app.client.post("/api/v1/recipients/forget", json=body, headers=app.key("admin")).status_code == 200


@pytest.fixture
def restored(erased_reservation_id: str, app: AppClient, postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """A backup from before, brought back into another database."""
    assert erased_reservation_id
    file, name = tmp_path / "before.dump", f"test_{uuid4().hex}"
    arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--file={file}")
    url = app.services.settings.database_url.get_secret_value()
    subprocess.run([find_postgres_program("pg_dump"), *arguments, url], check=True, timeout=WAIT_S_MAX)
    execute(postgres_url, f"CREATE DATABASE {name}")
    back = database_of(postgres_url, name)
    arguments = ("--exit-on-error", "--no-owner", "--no-privileges", f"--dbname={back}")
    subprocess.run([find_postgres_program("pg_restore"), *arguments, str(file)], check=True, timeout=WAIT_S_MAX)
    yield back
    drop(postgres_url, name)


def test_erased_texts_stay_erased(
    erased_reservation_id: str, app: AppClient, restored: str, settings: ApiSettings
) -> None:
    searched_texts = {"address": PERSON, "words": WORDS, "reason": REASON} | sealed_of(app)
    before = dump(settings.database_url.get_secret_value())
    assert {name for name in searched_texts if name[-1].isdigit()} <= found_in(before, searched_texts)

    wait_for_limit_report(app)
    forget(app)
    with started(settings.model_copy(update={"database_url": type(settings.database_url)(restored)})) as second:
        for each, url in ((app, settings.database_url.get_secret_value()), (second, restored)):
            assert set() == found_in(dump(url), searched_texts)
            assert verify(url, GRACE, NoProgress(), 10).wrong == 0
            browser = admin(each)
            for path in (
                f"/support/reservations/{erased_reservation_id}",
                "/support",
                "/support/audit",
                f"/support/people/{owner(each, erased_reservation_id)}",
            ):
                assert set() == found_in(browser.get(path).text.encode(), searched_texts), path
            assert (
                PERSON.partition("@")[0][0] + "***@"
                not in browser.get(f"/support/reservations/{erased_reservation_id}").text
            )
            assert browser.search(PERSON).status_code == 404
            assert each.client.get(f"/r/{erased_reservation_id}").text.count("***@") == 0
            assert each.redeem(each.issue(), PERSON).status_code == 202
            assert owner(each, erased_reservation_id) != person(each)


def owner(app: AppClient, reservation_id: str) -> UUID:
    with app.services.storage.datastore.get_connection() as conn:
        row = conn.execute(
            "SELECT recipient_id FROM reservations WHERE reservation_id = %s", (reservation_id,)
        ).fetchone()
    assert row is not None
    return UUID(str(row["recipient_id"]))
