"""`ledger staff`: the first admin of a production ledger, and accounts without the pages."""

from argon2 import PasswordHasher

from domain.values.identifiers import EmailAddress
from projections.repositories.staff_sessions import StaffSessionRepository
from tests.support.clients.terminal import CommandResult, Terminal
from tests.support.ledger.ledger_bench import LedgerBench

ADMIN = "Admin@Example.com"


def opens(bench: LedgerBench, email: str, password: str) -> bool:
    """Whether a sign-in would be taken; argon2 raises otherwise."""
    account = StaffSessionRepository(bench.storage).find_credentials(EmailAddress.parse(email))
    return account is not None and PasswordHasher().verify(account.password_hash, password)


def test_first_admin_is_added_and_gets_a_new_password(bench: LedgerBench, terminal: Terminal) -> None:
    """Each password is all that stdout has, opens, and is written to the audit as an act of the operator."""
    first = terminal.ledger("staff", "add", ADMIN, "--role", "admin")
    assert opens(bench, "admin@example.com", first.out.strip())
    again = terminal.ledger("staff", "password", ADMIN)
    assert opens(bench, "admin@example.com", again.out.strip())

    assert (first.status, again.status) == (0, 0)
    assert bench.rows("SELECT act, staff_id FROM audit") == [("added_staff", None), ("reset_password", None)]
    assert [(line["email"], line["role"]) for line in terminal.ledger("staff", "list", "--json").json] == [
        ("Admin@Example.com", "admin")
    ]


def test_last_admin_cannot_be_removed_or_demoted(bench: LedgerBench, terminal: Terminal) -> None:
    """The last admin neither leaves nor changes; with a second one both are possible."""
    terminal.ledger("staff", "add", ADMIN, "--role", "admin")
    rejected = [terminal.ledger("staff", "remove", ADMIN), terminal.ledger("staff", "role", ADMIN, "viewer")]
    terminal.ledger("staff", "add", "other@example.com", "--role", "viewer")
    raised = terminal.ledger("staff", "role", "other@example.com", "admin", "--json")
    gone = terminal.ledger("staff", "remove", ADMIN)

    assert [ended.status for ended in rejected] == [4, 4]
    assert all("last admin" in ended.err for ended in rejected)
    assert raised.json["role"] == "admin"
    assert gone.status == 0
    assert "Admin@" not in terminal.ledger("staff", "list").out
    assert bench.rows("SELECT 1 FROM audit WHERE act = 'removed_staff'")


def test_impossible_change_of_staff_is_refused_in_one_line(terminal: Terminal) -> None:
    """Who is there is not added again, who is not there is not changed, and a word that is no role is none."""
    terminal.ledger("staff", "add", ADMIN, "--role", "support")

    assert _short(terminal.ledger("staff", "add", ADMIN, "--role", "admin"), "already") == (4, "already")
    assert _short(terminal.ledger("staff", "password", "no@example.com"), "no staff") == (4, "no staff")
    assert _short(terminal.ledger("staff", "add", "a@example.com", "--role", "king"), "--role") == (2, "--role")
    assert _short(terminal.ledger("staff", "add", "nobody", "--role", "admin"), "email") == (2, "email")


def _short(ended: CommandResult, word: str) -> tuple[int, str]:
    """The status, and the word if it was said."""
    return ended.status, word if word in ended.err else ended.err
