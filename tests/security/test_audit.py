"""Nothing is changed or revealed by staff or API keys without a line in the audit log, or an event with its actor."""

import hashlib
from typing import Any

import pytest

from api.auth.session_cookies import COOKIE
from tests.security.audited import AUDITED, EMAIL, QUESTIONS, World, send
from tests.security.matrix import MATRIX, address
from tests.support.clients.role_clients import Doors
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
def world(doors: Doors) -> World:
    """The application of this file."""
    return World(doors)


def rows(world: World) -> dict[str, str]:
    """A digest of each table."""
    with world.site.services.storage.datastore.get_connection() as conn:
        names = [
            row["tablename"] for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        found = {}
        for name in sorted(set(names) - MACHINES):
            if "yoyo" in name:
                continue
            texts = conn.execute(f"SELECT t::text AS row FROM {name} t ORDER BY 1".encode())  # noqa: S608 - names of ours
            found[name] = hashlib.sha256("\n".join(row["row"] for row in texts).encode()).hexdigest()
    return found


def lines(world: World) -> int:
    """Lines of the audit log, and events that name staff or a key as their actor."""
    return int(
        world.value(
            "SELECT (SELECT count(*) FROM audit) + (SELECT count(*) FROM ledger_events"
            """ WHERE convert_from(state, 'UTF8') ~ '"actor":"(staff|key)"')"""
        )
    )


def revealed(world: World, text: str) -> list[str]:
    """Which of the world's private texts an answer holds in clear."""
    return [secret for secret in world.secrets if secret in text]


def test_each_changing_route_is_known_to_the_audit_test() -> None:
    """A new route needs a request here; what only asks is named as such."""
    assert set(CHANGING) == AUDITED.keys() | QUESTIONS
    assert not AUDITED.keys() & QUESTIONS


@pytest.mark.parametrize("route", sorted(AUDITED))
def test_route_that_changes_or_reveals_leaves_a_line(world: World, route: str) -> None:
    """Either in the audit log or as an event with its actor; the request is one that does something."""
    path, more = AUDITED[route](world)
    before, counted = rows(world), lines(world)

    answer = send(world, route, path, dict(more))

    assert answer.status_code < 400, answer.text
    assert lines(world) > counted
    is_changing = rows(world) != before
    is_revealing = any(word in route for word in ("export", "unmask", "test", "sign-out", "redeliver"))
    assert is_changing or is_revealing


@pytest.mark.parametrize("route", READING)
def test_reading_route_changes_nothing_and_reveals_nothing(world: World, route: str) -> None:
    """Pages and lists show addresses and codes masked until somebody unmasks them, which leaves a line."""
    item, person, code = world.sent(), world.person(), world.code()
    known: dict[str, str] = {"reservation_id": item, "recipient_id": person, "code_id": code, "batch_id": world.batch()}
    path = route.split()[1]
    for name, value in known.items():
        path = path.replace(f"{{{name}}}", value)
    before, counted = rows(world), lines(world)

    ask: Any = world.ask if path.startswith("/api/") else lambda _, found: world.page(found)
    answer = ask("GET", address(path))

    assert rows(world) == before
    assert not revealed(world, answer.text) or lines(world) > counted


@pytest.mark.parametrize("route", sorted(QUESTIONS))
def test_question_changes_nothing_and_reveals_nothing(world: World, route: str) -> None:
    """What was typed is not shown back in clear together with what was found."""
    code = world.code()
    before = rows(world)
    path = route.split()[1].replace("{code_id}", code)

    world.form(path, {"q": "no such thing", "person": "nobody@example.com"})

    assert rows(world) == before


def test_repeated_issue_that_reveals_codes_again_leaves_a_line(world: World) -> None:
    """The same Idempotency-Key gives the texts of codes that were issued before."""
    ask = {"json": {"max_uses": 1}, "headers": {"Idempotency-Key": "audited-1"}}
    first = world.ask("POST", "/api/v1/codes", **ask)
    counted = lines(world)

    again = world.ask("POST", "/api/v1/codes", **ask)

    assert first.json() == again.json()
    assert lines(world) == counted + 1


def test_own_password_and_sign_in_leave_lines(world: World) -> None:
    """Each with the person, in the transaction of the change."""
    staff_id = world.staff()
    with world.site.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff SET password_hash = %s WHERE staff_id = %s", (CHEAP.hash("old password"), staff_id))
    cookie = world.doors.cookie(staff_id)  # type: ignore[arg-type]  # an id is an id
    form = {"token": world.doors.form_token(cookie), "old": "old password", "new": "a new password of length"}

    answer = world.doors.ask(
        "POST", "/support/account", headers={"cookie": f"{COOKIE}={cookie}", "accept": "text/html"}, data=form
    )

    assert 303 == answer.status_code
    newest = "SELECT act FROM audit WHERE staff_id = %s ORDER BY audit_id DESC"
    assert "changed_password" == world.value(newest, staff_id)


def test_line_of_a_channel_names_the_key_and_both_urls(world: World) -> None:
    """An admin key that redirects a group's invitations leaves who, when, from where and to where; encrypted."""
    old, new = "https://team.example.com/in", "https://collector.evil.example/in"
    for url in (old, new):
        world.ask("PUT", "/api/v1/channels", json={"group": "AUDITED", "url": url})
    desk = world.doors.desk

    newest = desk.sessions.list_audit_page(2**62, 1)[0]

    assert ("changed_channel", None) == (newest.act, newest.staff_id)
    assert newest.key_id is not None
    assert f"group: AUDITED; url: {old} -> {new}" == newest.reason
    stored = world.value("SELECT string_agg(t::text, '') FROM audit t")
    assert old not in stored
    assert EMAIL not in stored


def test_change_is_undone_when_its_line_cannot_be_written(world: World) -> None:
    """Line and change are one transaction."""
    channel_id, before = world.channel(), rows(world)
    with world.site.services.storage.datastore.get_connection() as conn:
        conn.execute("ALTER TABLE audit ADD CONSTRAINT no_lines CHECK (act <> 'rotated_secret') NOT VALID")
    try:
        answer = world.ask("POST", f"/api/v1/channels/{channel_id}/rotate-secret")
    finally:
        with world.site.services.storage.datastore.get_connection() as conn:
            conn.execute("ALTER TABLE audit DROP CONSTRAINT no_lines")

    assert 503 == answer.status_code
    assert rows(world) == before
