"""`ledger staff`: the first admin of a production ledger, and accounts without the pages."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from argon2 import PasswordHasher

from api.auth.session_cookies import digest_of
from api.use_cases.administration.staff_links import choose_password, find_link
from domain.ports import Accepted, Rejected
from domain.values.identifiers import EmailAddress
from projections.repositories.audit_log import Actor, AuditLog
from projections.repositories.staff_factors import FactorContent, NewFactor, StaffFactorRepository
from projections.repositories.staff_sessions import NewSession, StaffSessionRepository
from tests.support.clients.staff_inbox import read_emails_of_staff
from tests.support.clients.terminal import CommandResult, Terminal
from tests.support.ledger.ledger_bench import LedgerBench

pytestmark = pytest.mark.usefixtures("database_url")

ADMIN = "Admin@Example.com"


PASSWORD = "a longer pass phrase"


def accept(bench: LedgerBench, url: str) -> str:
    """Use a link as its page does; return what it was, or why it does not work."""
    token, now = url.strip().rpartition("/")[2], bench.storage.recorder.clock.now()
    state, link = find_link(bench.storage, token, now)
    if state != "open" or link is None:
        return state
    audit_log = AuditLog(bench.storage, Actor(staff_id=link.staff_id), now, uuid4)
    assert choose_password(audit_log, link, digest_of(token), PasswordHasher().hash(PASSWORD))
    return link.purpose


def opens(bench: LedgerBench, email: str) -> bool:
    """Whether a sign-in with the chosen password would be taken; argon2 raises otherwise."""
    account = StaffSessionRepository(bench.storage).find_credentials(EmailAddress.parse(email))
    return account is not None and PasswordHasher().verify(account.password_hash, PASSWORD)


def test_first_admin_gets_a_printed_link_and_later_a_new_password(
    bench: LedgerBench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is all that stdout has, whether or not email can be sent; no command shows a password."""
    inbox = read_emails_of_staff(monkeypatch)
    first = terminal.ledger("staff", "add", ADMIN, "--role", "admin")
    assert accept(bench, first.out) == "invitation"
    assert opens(bench, "admin@example.com")
    again = terminal.ledger("staff", "password", ADMIN, "--link")

    assert (first.status, again.status, inbox.messages) == (0, 0, [])
    assert re.fullmatch(r"http://127\.0\.0\.1:1/support/set-password/[\w-]{43}\n", first.out)
    assert accept(bench, again.out) == "password"
    acts = ["added_staff", "accepted_invitation", "reset_password", "changed_password"]
    assert [row[0] for row in bench.rows("SELECT act FROM audit ORDER BY audit_id")] == acts
    assert [(line["email"], line["role"]) for line in terminal.ledger("staff", "list", "--json").json] == [
        ("Admin@Example.com", "admin")
    ]


def test_link_is_sent_if_the_mail_server_accepts_it_and_printed_otherwise(
    bench: LedgerBench, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = read_emails_of_staff(monkeypatch)
    sent = terminal.ledger("staff", "add", "mei@example.com", "--role", "viewer", "--json")
    inbox.outcome = Rejected(server="mx:25", reason="unreachable", final=False)
    refused = terminal.ledger("staff", "invite", "mei@example.com", "--json")
    inbox.outcome = Accepted(server="null")
    dropped = terminal.ledger("staff", "invite", "mei@example.com")

    assert (sent.json["sent"], sent.json["link"], sent.json["role"]) == (True, None, "viewer")
    assert (refused.json["sent"], accept(bench, refused.json["link"])) == (False, "replaced")
    assert "did not accept" in refused.err
    assert accept(bench, inbox.messages[0].link) == "replaced"
    assert bench.rows("SELECT mail FROM staff_links ORDER BY created_at") == [("sent",), ("printed",), ("printed",)]
    assert terminal.ledger("staff", "list", "--json").json[0]["invitation_expires_at"] is not None
    assert accept(bench, dropped.out) == "invitation"
    assert terminal.ledger("staff", "list", "--json").json[0]["invitation_expires_at"] is None


def test_invitation_and_new_password_do_not_stand_for_each_other(bench: LedgerBench, terminal: Terminal) -> None:
    invited = terminal.ledger("staff", "add", ADMIN, "--role", "admin")
    early = terminal.ledger("staff", "password", ADMIN)
    accept(bench, invited.out)
    late = terminal.ledger("staff", "invite", ADMIN)

    assert [(ended.status, "ledger staff invite" in ended.err) for ended in (early, late)] == [(4, True)] * 2


def test_last_admin_cannot_be_removed_or_demoted(bench: LedgerBench, terminal: Terminal) -> None:
    terminal.ledger("staff", "add", ADMIN, "--role", "admin")
    rejected = [terminal.ledger("staff", "remove", ADMIN), terminal.ledger("staff", "role", ADMIN, "viewer")]
    terminal.ledger("staff", "add", "other@example.com", "--role", "viewer")
    raised = terminal.ledger("staff", "role", "other@example.com", "admin", "--json")
    gone = terminal.ledger("staff", "remove", ADMIN)  # an invitation that is not accepted

    assert [ended.status for ended in rejected] == [4, 4]
    assert all("last admin" in ended.err for ended in rejected)
    assert raised.json["role"] == "admin"
    assert gone.status == 0
    assert "Admin@" not in terminal.ledger("staff", "list").out
    assert bench.rows("SELECT 1 FROM audit WHERE act = 'revoked_invitation'")


def test_impossible_change_of_staff_is_refused_in_one_line(terminal: Terminal) -> None:
    terminal.ledger("staff", "add", ADMIN, "--role", "support")

    assert _short(terminal.ledger("staff", "add", ADMIN, "--role", "admin"), "already") == (4, "already")
    assert _short(terminal.ledger("staff", "password", "no@example.com"), "no staff") == (4, "no staff")
    assert _short(terminal.ledger("staff", "add", "a@example.com", "--role", "king"), "--role") == (2, "--role")
    assert _short(terminal.ledger("staff", "add", "nobody", "--role", "admin"), "email") == (2, "email")


def _short(ended: CommandResult, word: str) -> tuple[int, str]:
    return ended.status, word if word in ended.err else ended.err


def test_second_factors_of_an_account_are_removed_with_its_sessions(bench: LedgerBench, terminal: Terminal) -> None:
    """The way in when no admin can sign in."""
    terminal.ledger("staff", "add", ADMIN, "--role", "admin")
    account = StaffSessionRepository(bench.storage).find_credentials(EmailAddress.parse(ADMIN))
    assert account is not None
    now, factors = bench.storage.recorder.clock.now(), StaffFactorRepository(bench.storage)
    content = FactorContent(account.staff_id, "Phone", secret="JBSWY3DPEHPK3PXP")
    assert factors.insert(NewFactor(uuid4(), "totp", content, counter=0), now)
    session = NewSession(b"digest", now + timedelta(hours=1))
    StaffSessionRepository(bench.storage).insert(session, account.staff_id, now)

    removed = terminal.ledger("staff", "remove-factors", ADMIN, "--reason", "lost phone")
    again = terminal.ledger("staff", "remove-factors", ADMIN)

    assert (removed.status, removed.err) == (0, "ended sessions: 1; revoked API keys: 0\n")
    assert (again.status, again.err) == (4, "this account has no second factor\n")
    assert not factors.has_any(account.staff_id)
