"""A person with every trace is exported and erased; all tables of the schema are searched, in plain text."""

import re
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, cast, get_args
from uuid import UUID, uuid4

import psycopg
import pytest

from api.settings import ApiSettings
from api.use_cases.hand_outs.hand_out_actions import record_bounce
from api.use_cases.services import Caller
from domain.events.campaign import CampaignEvent
from domain.events.code import CodeIssued, CodeNoted, CodePaused, CodeResumed, CodeRevoked, CodeTermsChanged
from domain.events.hand_out import HandedOutCodeEvent
from domain.events.registry import EVENT_TYPES
from domain.events.reservation import ReservationEvent
from domain.ports import OutcomeUnknown, Rejected
from domain.values.link_token import OptOutRef, opt_out_token
from projections.privacy.data_export import PersonReader
from projections.privacy.erasure import PersonEraser
from projections.privacy.person_texts import find_text_ids
from projections.repositories.audit_log import LedgerAction, PersonAction
from projections.vault.vault import SealBrokenError, Vault
from tests.integration.conftest import app, settings
from tests.security.locks import wait_for_lock
from tests.support.clients.app_client import AppClient
from tests.support.clients.guarded_app import propose_export
from tests.support.clients.staff_browser import StaffBrowser, add_staff
from tests.support.ledger.code_template import make_template
from tests.support.servers.mail_server import MailServer
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.runtime import Runtime
from workers.settings import WorkerSettings

__all__ = ["app", "settings"]

ROOT: Final = Path(__file__).parents[2]
PERSON: Final = "Xiao.Hong@Example.com"
NORMAL: Final = "xiao.hong@example.com"
OTHER: Final = "other@example.com"
CORRECTION: Final = 7
"""Which text is about a correction: former releases stored it about the former address alone."""
PASSWORD: Final = "correct horse battery staple"
WITHOUT_TRACE: Final = {
    "dispatches": "rows of seconds; random ids",
    "access_marks": "rows of seconds; random ids",
    "cases": "random ids; rebuilt from the log",
    "code_snapshots": "random ids; rebuilt from the log",
    "history_blocks": "random ids; rebuilt from the log",
    "limit_reports": "rows of minutes, of which another test searches the digests",
    "staff": "about staff",
    "staff_identities": "about staff",
    "staff_factors": "about staff",
    "staff_recovery_codes": "about staff",
    "staff_spent_states": "random ids, of minutes",
    "staff_links": "about staff",
    "staff_sessions": "about staff",
    "saved_views": "about staff",
    "api_keys": "about staff",
    "api_key_uses": "about integrators",
    "batches": "about staff",
    "list_reports": "about staff",
    "invite_groups": "texts of emails, which admins write",
    "hand_out_pace": "names no one",
    "threshold_digest": "names no one",
    "hand_out_texts": "texts of emails, which admins write",
}
"""Tables of the data map's first part in which the person of this test leaves no personal row, and why."""


@dataclass
class Life:
    """Does everything that leaves a trace of the person, with texts that can be searched for.

    Attributes:
        words: A word of each text, in lower case.
    """

    app: AppClient
    worker: Runtime
    words: list[str] = field(default_factory=list)

    def text(self) -> str:
        self.words.append(f"trace{len(self.words)}of{uuid4().hex[:12]}")
        return f"she said {self.words[-1]}."

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.app.client.post(f"/api/v1{path}", json=body, headers=self.app.key("admin"))
        assert answer.status_code < 300, (path, answer.text)
        return cast("dict[str, Any]", answer.json())

    def redeem(self, **terms: Any) -> str:
        code = self.app.issue(make_template(**{"max_uses": 1, **terms}))
        return str(self.app.redeem(code, PERSON, headers={"Idempotency-Key": "hers"}).json()["reservation_id"])

    def leave_traces(self) -> UUID:
        """Leave every trace; return the id of the person."""
        sent_id = self.use_codes()
        code_id, recipient_id = self.get_code_of_hand_out()
        self.let_staff_act(UUID(sent_id), code_id, recipient_id)
        self.begin_test_email()
        self.post(f"/reservations/{sent_id}/bounce", reason="mailbox_unknown", reply=self.text())
        return recipient_id

    def use_codes(self) -> str:
        """Replies, notes, cases, a bounce, a rebind, a correction, a refund, a waiting list; a reservation's id."""
        app, text, post = self.app, self.text, self.post
        refused = Rejected(server="mx:25", reason="address_refused", final=True, reply_code=550, reply=text())
        app.attempt(self.redeem(), refused)
        app.attempt(self.redeem(), OutcomeUnknown(server="mx:25", cause="timeout"))
        sent, bounced, moved = self.redeem(), self.redeem(), self.redeem(group="blue", validity_days=9)
        for reservation_id in (sent, bounced, moved):
            app.attempt(reservation_id)
        post(f"/reservations/{sent}/notes", note=text())
        post(f"/reservations/{sent}/resend", note=text())
        post(f"/reservations/{bounced}/bounce", reply=text(), reply_code=550)
        post(f"/reservations/{bounced}/resolve", note=text(), **{"as": "sent"})
        post(f"/reservations/{moved}/rebind", group="vip", note=text())
        post(f"/reservations/{self.redeem()}/refund", note=text())
        mistyped = app.redeem(app.issue(), OTHER).json()["reservation_id"]
        app.attempt(mistyped)
        post(f"/reservations/{mistyped}/correct-recipient", email=PERSON, note=text())
        campaign = post("/campaigns", name="Full", max_uses=1, waiting_hours=24)["id"]
        issued: Any = post("/codes", campaign=campaign, max_uses=9, open=True)
        shared = issued[0]["code"]
        assert app.redeem(shared, OTHER).status_code == 202
        post("/public/waiting-list", email=PERSON, code=shared)
        used_up = app.issue()
        app.attempt(app.redeem(used_up, OTHER).json()["reservation_id"])
        assert app.redeem(used_up, PERSON).status_code == 400
        return sent

    def get_code_of_hand_out(self) -> tuple[UUID, UUID]:
        """Values of a list, an email, an opened form, a bounce, another email; the ids of the code and the person."""
        campaign = self.post("/campaigns", name="Spring")["id"]
        hand_out = self.post("/hand-outs", campaign=campaign, name="Newsletter", max_uses=1)["id"]
        recipient = {"email": PERSON, "language": "en", "variables": {"name": self.text()}}
        self.post(f"/hand-outs/recipients?hand_out={hand_out}", recipients=[recipient])
        wait_for(self.worker.hand_out_sender.run)
        ((code_id, recipient_id),) = ask(self.app, "SELECT code_id, recipient_id FROM handed_out_codes")
        code = self.worker.hand_out_sender.queue.find_codes([code_id])[code_id]
        assert self.app.client.post("/invite/opened", data={"code": code}).status_code < 300
        record_bounce(self.app.services, Caller(actor="operator"), UUID(hand_out), code_id, self.text())
        self.post(f"/hand-outs/{hand_out}/recipients/{code_id}/resend")
        secret = self.app.services.settings.secret_key.get_secret_value().encode()
        for group in (None, "blue"):
            token = opt_out_token(secret, OptOutRef(recipient_id, group))
            assert self.app.client.post(f"/opt-out/{token}").status_code < 400
        return code_id, recipient_id

    def let_staff_act(self, reservation_id: UUID, handed_out_id: UUID, recipient_id: UUID) -> None:
        """Texts about codes that are the person's, reasons of reveals, of an undone opt-out and of an export."""
        reservation = self.app.services.reader.find_reservation(reservation_id)
        assert reservation is not None
        for code_id in (reservation.code_id, handed_out_id):
            for action in ("notes", "pause", "resume"):
                self.post(f"/codes/{code_id}/{action}", note=self.text())
            headers = self.app.key("admin")
            etag = self.app.client.get(f"/api/v1/codes/{code_id}", headers=headers).headers["ETag"]
            terms, headers = {"max_uses": 2, "note": self.text()}, {**headers, "If-Match": etag}
            assert self.app.client.patch(f"/api/v1/codes/{code_id}", json=terms, headers=headers).status_code == 200
        add_staff(self.app, "admin@staff.example.com", "admin", PASSWORD)
        staff = StaffBrowser(self.app)
        assert staff.sign_in("admin@staff.example.com", PASSWORD).status_code == 303
        for path in (
            f"people/{recipient_id}/unmask",
            f"people/{recipient_id}/opt-outs/undo?group=blue",
            f"reservations/{reservation_id}/unmask",
            f"codes/{handed_out_id}/unmask",
            f"codes/{reservation.code_id}/unmask",
        ):
            assert staff.submit(f"/support/{path}", reason=self.text()).status_code == 303, path
        self.post("/recipients/export", email=PERSON, reason=self.text())
        propose_export(self.app, PERSON, self.text())

    def begin_test_email(self) -> None:
        """A test email whose process ended while it was sent."""
        digest, ended_at = digests_of(self.app)[0], self.app.services.now() - timedelta(minutes=1)
        ask(self.app, "INSERT INTO test_emails VALUES (gen_random_uuid(), %s, %s) RETURNING 1", digest, ended_at)


def digests_of(app: AppClient) -> tuple[bytes, ...]:
    return app.services.storage.vault.compute_digests("recipient", NORMAL)


def read_rows(app: AppClient) -> Iterator[tuple[str, str]]:
    """Yield every value of every table as text, encrypted ones in plain text."""
    vault = app.services.storage.vault
    url = app.services.settings.database_url.get_secret_value()
    with psycopg.connect(url) as conn, conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        tables = cursor.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        for table in sorted(row["table_name"] for row in tables):
            for row in cursor.execute(f'SELECT * FROM "{table}"'.encode()).fetchall():  # noqa: S608 - from the schema
                if row.get("sealed") is not None:
                    yield table, decrypt(vault, table, row)
                for value in row.values():
                    octets = bytes(value) if isinstance(value, bytes | memoryview) else b""
                    yield table, f"{octets.hex()} {octets.decode('latin-1')}" if octets else str(value)


def decrypt(vault: Vault, table: str, row: dict[str, Any]) -> str:
    """The text of a row; the id by which it is encrypted is one of the row's."""
    for row_id in (value for value in row.values() if isinstance(value, UUID)):
        for kind in ("code", "recipient", "staff", "text"):
            try:
                return vault._decrypt(kind, row_id, bytes(row["sealed"]), row["key_id"])
            except SealBrokenError:
                continue
    raise AssertionError(f"a row of {table} cannot be decrypted by one of its ids")


def find_texts(app: AppClient, texts: Collection[str]) -> set[str]:
    """Return those of these texts that some value of some table contains."""
    values = [value.lower() for _, value in read_rows(app)]
    return {text for text in texts if any(text in value for value in values)}


def ask(app: AppClient, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(app.services.settings.database_url.get_secret_value()) as conn:
        return conn.execute(query.encode(), parameters).fetchall()


@pytest.fixture
def worker(settings: ApiSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    assert settings.smtp_url
    with MailServer() as server:
        monkeypatch.setenv("LEDGER_SMTP_URL", server.url)
        runtime = Runtime.build(WorkerSettings.from_environment())
        yield runtime
        runtime.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("is_of_former_release", [False, True])
def test_export_and_erasure_have_every_trace_of_a_person(
    app: AppClient, worker: Runtime, *, is_of_former_release: bool
) -> None:
    """What the database has of a person is in the export; after the erasure no table has any of it."""
    life = Life(app, worker)
    recipient_id = life.leave_traces()
    searched_texts = {*life.words, NORMAL, *(digest.hex() for digest in digests_of(app))}
    assert ask(app, "SELECT about FROM private_texts WHERE about = 'unsaid'") == []
    assert find_texts(app, searched_texts) == searched_texts, "a trace of this test leaves nothing"
    if is_of_former_release:
        searched_texts.remove(life.words[CORRECTION])
        ask(app, "WITH u AS (UPDATE private_texts SET about = 'unsaid'), d AS (DELETE FROM text_subjects) SELECT")
    body = {"email": PERSON, "reason": "asked by letter"}
    listed_ids = list(PersonReader(app.services.storage).read_texts(recipient_id))
    previewed = PersonEraser(app.services.storage).preview(recipient_id, app.services.now())

    exported = app.client.post("/api/v1/recipients/export", json=body, headers=app.key("admin")).text.lower()
    erased = app.client.post("/api/v1/recipients/forget", json=body, headers=app.key("admin"))

    assert {word for word in {*life.words, NORMAL} & searched_texts if word not in exported} == set()
    assert erased.status_code == 200, erased.text
    assert find_texts(app, searched_texts) == set()
    assert len(listed_ids) == previewed.texts
    assert ask(app, "SELECT text_id FROM private_texts WHERE text_id = ANY(%s)", listed_ids) == []


def test_text_about_an_erased_person_is_not_stored(app: AppClient, worker: Runtime) -> None:
    """A bounce that comes late, or a note of staff: the event is recorded without a text."""
    life = Life(app, worker)
    reservation_id = life.redeem()
    app.attempt(reservation_id)
    life.post("/recipients/forget", email=PERSON, reason="asked by letter")
    texts = app.count("private_texts")

    life.post(f"/reservations/{reservation_id}/bounce", reply=life.text(), reply_code=550)
    life.post(f"/reservations/{reservation_id}/notes", note=life.text())

    assert find_texts(app, life.words) == set()
    assert app.count("private_texts") == texts


def test_text_that_is_stored_during_an_erasure_is_not_left(
    app: AppClient, worker: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure has listed the texts and has not committed yet: the note waits, and is recorded without its text."""
    life = Life(app, worker)
    reservation_id, list_texts = life.redeem(), find_text_ids
    app.attempt(reservation_id)
    with ThreadPoolExecutor(1) as threads:
        notes = []

        def list_slowly(*arguments: Any) -> list[UUID]:
            text_ids = list_texts(*arguments)
            path = f"/reservations/{reservation_id}/notes"
            notes.append(threads.submit(partial(life.post, path, note=life.text())))
            wait_for_lock(app, notes[0])
            return text_ids

        monkeypatch.setattr("projections.privacy.erasure.find_text_ids", list_slowly)
        life.post("/recipients/forget", email=PERSON, reason="asked by letter")
        notes[0].result(WAIT_S_MAX)

    assert find_texts(app, life.words) == set()


@pytest.mark.timeout(180)
def test_each_table_about_persons_has_a_trace_in_this_test(app: AppClient, worker: Runtime) -> None:
    """A new one in the first part of the data map gets a trace above, or its reason in `WITHOUT_TRACE`."""
    Life(app, worker).leave_traces()
    empty = {table for table in tables_about_persons() if not app.count(table)}

    assert empty - WITHOUT_TRACE.keys() == set()


def tables_about_persons() -> list[str]:
    page = (ROOT / "docs" / "reference" / "data-map.md").read_text("utf-8")
    return re.findall(r"^\| `([a-z_]+)` \|", page[: page.index("## Tables that don't")], re.MULTILINE)


def test_each_event_with_a_text_is_about_a_reservation_a_code_or_a_campaign() -> None:
    """`find_subjects` finds the persons of these; another event with a text needs its own answer there."""
    of_codes = {CodeIssued, CodeTermsChanged, CodePaused, CodeResumed, CodeRevoked, CodeNoted}
    with_text = {kind for kind in EVENT_TYPES.values() if "text_id" in kind.__struct_fields__}

    elsewhere = ReservationEvent | HandedOutCodeEvent | CampaignEvent
    assert {kind for kind in with_text if not issubclass(kind, elsewhere)} == of_codes


def test_each_action_of_the_audit_log_says_about_whom_its_reason_is() -> None:
    """One that is in both lists would be about no person."""
    assert not {*get_args(PersonAction)} & {*get_args(LedgerAction)}


def test_each_statement_that_stores_a_text_says_about_whom_it_is() -> None:
    """Each INSERT names the column `about`."""
    statements = [path.read_text("utf-8") for path in (ROOT / "projections" / "sql").glob("*.sql")]
    inserts = [columns for text in statements for columns in re.findall(r"INSERT INTO private_texts \(([^)]*)\)", text)]

    assert len(inserts) > 5
    assert [columns for columns in inserts if "about" not in columns] == []
