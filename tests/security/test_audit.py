"""Nothing is changed or revealed by staff or API keys without a line in the audit log, or an event with its actor."""

import hashlib
import re

import pytest

from api.auth.session_cookies import COOKIE
from api.i18n.audit_details import describe_details
from api.i18n.catalogs import translator
from projections.repositories.audit_reader import AuditReader
from tests.security.audited import AUDITED, EMAIL, QUESTIONS, TESTED_ELSEWHERE, URL, AuditedApp, prepare, send
from tests.security.matrix import MATRIX, NEEDS_PROOF, address
from tests.support.clients.role_clients import RoleClients
from tests.support.passwords import CHEAP

MACHINES = frozenset(
    {
        *("audit", "ledger_events", "dispatches", "idempotency_keys", "limit_reports", "unknown_code_tries"),
        *("tallies", "tally_progress", "staff_sessions", "verifications", "drifting_codes", "access_marks"),
    }
)
"""Tables that are no one's decision, and those that are counted instead of compared."""
CHANGING = [route for route, role in MATRIX.items() if role != "anyone" and not route.startswith("GET ")]
READING = [route for route, role in MATRIX.items() if role != "anyone" and route.startswith("GET ")]


@pytest.fixture(scope="module")
def audited_app(role_clients: RoleClients) -> AuditedApp:
    return AuditedApp(role_clients)


def rows(audited_app: AuditedApp) -> dict[str, str]:
    with audited_app.app.services.storage.datastore.get_connection() as conn:
        names = [
            row["tablename"] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        tables = {}
        for name in sorted(set(names) - MACHINES):
            if "yoyo" in name:
                continue
            texts = conn.execute(f"SELECT t::text AS row FROM {name} t ORDER BY 1".encode())  # noqa: S608 - names of ours
            tables[name] = hashlib.sha256("\n".join(row["row"] for row in texts).encode()).hexdigest()
    return tables


def lines(audited_app: AuditedApp) -> int:
    """Lines of the audit log, and events that name staff or a key as their actor."""
    return int(
        audited_app.value(
            "SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM ledger_events"
            " WHERE event_fields(state) ->> 'actor' IN ('staff', 'key'))"
        )
    )


def revealed(audited_app: AuditedApp, text: str) -> list[str]:
    """Which of the world's private texts an answer holds in plain text."""
    return [secret for secret in audited_app.secrets if secret in text]


def test_each_changing_route_is_known_to_the_audit_test() -> None:
    """A new route needs a request here; what only asks is named as such."""
    assert set(CHANGING) == AUDITED.keys() | QUESTIONS | TESTED_ELSEWHERE
    assert not AUDITED.keys() & QUESTIONS


@pytest.mark.parametrize("route", sorted(AUDITED))
def test_route_that_changes_or_reveals_leaves_a_line(audited_app: AuditedApp, route: str) -> None:
    """Either in the audit log or as an event with its actor; the request is one that does something."""
    path, more = prepare(audited_app, route)
    before, counted = rows(audited_app), lines(audited_app)

    answer = send(audited_app, route, path, more)

    assert answer.status_code < 400, answer.text
    assert lines(audited_app) > counted
    is_changing = rows(audited_app) != before
    is_revealing = any(word in route for word in ("export", "unmask", "test", "sign-out", "redeliver", "/sessions"))
    assert is_changing or is_revealing
    newest = AuditReader(audited_app.app.services.storage).list_page(5)
    details = [describe_details(line.action, line.reason or "", translator("zh")) for line in newest]
    assert [text for text in details if re.search(r"(^|; )[a-z_]+: ", text)] == [], "a name without a Chinese text"


@pytest.mark.parametrize("route", sorted(AUDITED.keys() - {"POST /mcp"}))  # no session opens it
def test_only_some_routes_need_a_fresh_proof_and_do_nothing_without_it(audited_app: AuditedApp, route: str) -> None:
    """The session of an unattended browser, or a stolen one, reveals, exports and erases nothing, and makes no keys."""
    path, more = prepare(audited_app, route)
    audited_app.wait_for_runners()
    before = rows(audited_app)

    answer = send(audited_app, route, path, dict(more), age_s=301)

    needs_proof = "PROOF_REQUIRED" in answer.text or "Confirm that it is you" in answer.text
    assert needs_proof == (route in NEEDS_PROOF)
    if needs_proof:
        changed = {name for name, digest in rows(audited_app).items() if digest != before[name]}
        assert (answer.status_code, changed) == (403, set())
        assert revealed(audited_app, answer.text) == []
    assert needs_proof or answer.status_code < 400
    assert not needs_proof or send(audited_app, route, path, dict(more), age_s=299).status_code < 400


@pytest.fixture(scope="module")
def things(audited_app: AuditedApp) -> dict[str, str]:
    """One of each kind that a path names."""
    return {
        "reservation_id": audited_app.sent(),
        "recipient_id": audited_app.person(),
        "code_id": audited_app.code(),
        "batch_id": audited_app.batch(),
        "campaign_id": audited_app.campaign(),
        "hand_out_id": audited_app.hand_out(),
        "action": "end",
        "change": "pause",
    }


@pytest.mark.parametrize("route", READING)
def test_reading_route_changes_nothing_and_reveals_nothing(
    audited_app: AuditedApp, things: dict[str, str], route: str
) -> None:
    """Pages and lists show addresses and codes masked until staff unmask them, which leaves a line."""
    path = address(re.sub(r"\{(\w+)\}", lambda name: things.get(name[1], name[0]), route.split()[1]))
    before, counted = rows(audited_app), lines(audited_app)

    answer = audited_app.ask("GET", path) if path.startswith("/api/") else audited_app.page(path)

    assert rows(audited_app) == before
    assert not revealed(audited_app, answer.text) or lines(audited_app) > counted


@pytest.mark.parametrize("route", sorted(QUESTIONS))
def test_question_changes_nothing_and_reveals_nothing(audited_app: AuditedApp, route: str) -> None:
    """What was typed is not shown back in plain text together with what was found."""
    code, hand_out = audited_app.code(), audited_app.hand_out()
    before = rows(audited_app)
    path = route.split()[1].replace("{code_id}", code).replace("{hand_out_id}", hand_out)

    audited_app.form(path, {"q": "no such thing", "person": "nobody@example.com", "email": EMAIL})

    assert rows(audited_app) == before


def test_repeated_issue_that_reveals_codes_again_leaves_a_line(audited_app: AuditedApp) -> None:
    """The same Idempotency-Key gives the texts of codes that were issued before."""
    ask = {"json": {"max_uses": 1}, "headers": {"Idempotency-Key": "audited-1"}}
    first = audited_app.ask("POST", "/api/v1/codes", **ask)
    counted = lines(audited_app)

    again = audited_app.ask("POST", "/api/v1/codes", **ask)

    assert first.json() == again.json()
    assert lines(audited_app) == counted + 1


def test_own_password_and_sign_in_leave_lines(audited_app: AuditedApp) -> None:
    """Each with the person, in the transaction of the change."""
    staff_id = audited_app.staff()
    with audited_app.app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff SET password_hash = %s WHERE staff_id = %s", (CHEAP.hash("old password"), staff_id))
    cookie = audited_app.role_clients.cookie(staff_id)  # type: ignore[arg-type]  # an id is an id
    form = {
        "token": audited_app.role_clients.form_token(cookie),
        "old": "old password",
        "new": "a new password of length",
    }

    answer = audited_app.role_clients.ask(
        "POST", "/support/account", headers={"cookie": f"{COOKIE}={cookie}", "accept": "text/html"}, data=form
    )

    assert answer.status_code == 303
    newest = "SELECT act FROM audit WHERE staff_id = %s ORDER BY audit_id DESC"
    assert audited_app.value(newest, staff_id) == "changed_password"


def test_line_of_a_channel_names_the_key_and_both_urls(audited_app: AuditedApp) -> None:
    """An admin key that redirects a group's invitations leaves who, when, from where and to where; encrypted."""
    old, new = "https://team.example.com/in", "https://collector.evil.example/in"
    for url in (old, new):
        audited_app.ask("PUT", "/api/v1/channels", json={"group": "AUDITED", "url": url})

    newest = AuditReader(audited_app.app.services.storage).list_page(1)[0]

    assert (newest.action, newest.staff_id) == ("changed_channel", None)
    assert newest.key_id is not None
    assert f"group: AUDITED; url: {old} -> {new}" == newest.reason
    stored = audited_app.value("SELECT string_agg(t::text, '') FROM audit t")
    assert old not in stored
    assert EMAIL not in stored


def test_audit_log_shows_details_in_the_language_of_the_page(audited_app: AuditedApp) -> None:
    """Entries store names in English, which the page shows in the language of the reader."""
    audited_app.channel()
    key_id = audited_app.api_key()

    english, chinese = (audited_app.page(f"/support/audit?lang={language}").text for language in ("en", "zh"))

    assert key_id
    assert "scopes: codes:read" in english
    assert "权限范围：codes:read" in chinese
    assert f"URL: email → {URL}" in english
    assert f"URL：邮件 → {URL}" in chinese


def test_change_is_undone_when_its_line_cannot_be_written(audited_app: AuditedApp) -> None:
    """Line and change are one transaction."""
    channel_id, before = audited_app.channel(), rows(audited_app)
    with audited_app.app.services.storage.datastore.get_connection() as conn:
        conn.execute("ALTER TABLE audit ADD CONSTRAINT no_lines CHECK (act <> 'rotated_secret') NOT VALID")
    try:
        answer = audited_app.ask("POST", f"/api/v1/channels/{channel_id}/rotate-secret")
    finally:
        with audited_app.app.services.storage.datastore.get_connection() as conn:
            conn.execute("ALTER TABLE audit DROP CONSTRAINT no_lines")

    assert answer.status_code == 500
    assert rows(audited_app) == before
