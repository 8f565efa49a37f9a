"""Each command of an operator that changes or reveals something leaves an event or a line in the audit log."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest
import typer
from psycopg import sql

from api.cli.app import app
from api.cli.command_index import READS_ONLY, WITHOUT_RECORD
from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.ports import OutcomeUnknown
from domain.values.identifiers import EmailAddress
from domain.values.mail.mail_token import MailRef, mail_token
from projections.event_store.codec import decode
from projections.repositories.audit_reader import AuditReader
from projections.repositories.staff_factors import FactorContent, NewFactor, StaffFactorRepository
from projections.repositories.staff_sessions import StaffSessionRepository
from tests.support.clients.terminal import Terminal, walk_commands
from tests.support.ledger import legacy_database as old
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import clone, database_of, drop
from tests.unit.workers.mail_reports.reports import status_report
from workers.maintenance.log_follower import update_log

LOST: Final = OutcomeUnknown(server="mx:25", cause="connection_lost")
WHOLE_TIME: Final = ("--from", "2020-01-01", "--to", "2035-01-01")
PERSON: Final = "li.wei@example.com"
COMMANDS: Final = dict(walk_commands(typer.main.get_command(app)))
REASONS: Final[dict[str, str | None]] = {
    name: getattr(command.callback, WITHOUT_RECORD, None) for name, command in COMMANDS.items()
}
"""Why a command leaves no record; None: it leaves one."""

Arguments = tuple[str, ...]


@dataclass
class Ledger:
    """A ledger with something to act on, and what operators have left in it."""

    bench: LedgerBench
    terminal: Terminal
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    postgres_url: str
    copy: str

    def group_of_code(self) -> str:
        group = f"g{uuid4().hex}"
        self.bench.issue(group=group)
        return f"group:{group}"

    def code(self) -> str:
        text = self.bench.issue(9, bound=False)
        return str(self.bench.reader.find_code(text))

    def reserved(self, email: str | None = None) -> str:
        result = done(self.bench.redeem(self.bench.issue(9), email or f"{uuid4().hex}@example.com"))
        return str(result.require_reservation().reservation_id)

    def code_with_reservation(self) -> str:
        text = self.bench.issue()
        done(self.bench.redeem(text, f"{uuid4().hex}@example.com"))
        return str(self.bench.reader.find_code(text))

    def sent(self) -> str:
        self.bench.attempt(UUID(reservation := self.reserved()))
        return reservation

    def report_of(self, reservation: str) -> str:
        secret = settings_for(self.bench.database_url).secret_key.get_secret_value().encode()
        ref = MailRef("invite", UUID(reservation), 1)
        token = mail_token(secret, ref, self.bench.storage.recorder.clock.now())
        return self.file(status_report(token=token).decode())

    def proven(self) -> str:
        reservation = self.sent()
        assert update_log(self.bench.storage, self.bench.storage.recorder.clock.now(), None)
        return reservation

    def unknown(self) -> str:
        self.bench.attempt(UUID(reservation := self.reserved()), LOST)
        return reservation

    def campaign(self) -> str:
        return str(self.bench.create_campaign())

    def waiting(self) -> Arguments:
        campaign_id = self.bench.create_campaign(max_uses=1, waiting_hours=24)
        code = self.bench.issue(9, bound=False, campaign_id=campaign_id)
        self.bench.redeem(code, "first@example.com")
        join = JoinWaitingList(redeem=self.bench.reserve(code, "second@example.com"))
        self.bench.storage.ledger.execute_one(join)
        return str(campaign_id), str(join.redeem.reservation_id)

    def paused(self, words: str, subject: str) -> str:
        assert self.terminal.ledger(*words.split(), "pause", subject).status == 0
        return subject

    def relay(self) -> str:
        row = """INSERT INTO relays (name, target, target_id, position, holder_id, holder, leased_until)
            VALUES ('orders', '', '', 0, gen_random_uuid(), '', now()) RETURNING name"""
        return str(self.bench.rows(row)[0][0])

    def proposal(self) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LEDGER_APPROVALS", "erase_person")
            self.terminal.ledger("forget", f"{uuid4().hex}@example.com")
        return str(self.terminal.ledger("approvals", "list", "--json").json[-1]["id"])

    def hand_out(self) -> str:
        created = self.terminal.ledger("hand-out", "create", self.campaign(), "Newsletter", "--json")
        return str(created.json["id"])

    def listed(self) -> Arguments:
        hand_out = self.hand_out()
        assert (
            self.terminal.ledger("hand-out", "add", hand_out, self.file("email\na@example.com\n"), "--apply").status
            == 0
        )
        (person,) = self.terminal.ledger("hand-out", "recipients", hand_out, "--json").json
        return hand_out, str(person["code_id"])

    def free_code(self) -> Arguments:
        hand_out = self.hand_out()
        query = "SELECT campaign_id FROM hand_outs WHERE hand_out_id = %s"
        return hand_out, self.bench.issue(campaign_id=self.bench.rows(query, hand_out)[0][0]), PERSON

    def handed_out(self) -> Arguments:
        hand_out, code = self.listed()
        self.bench.hand_out_code(UUID(code))
        return hand_out, code

    def staff(self, *more: str) -> Arguments:
        email = f"{uuid4().hex}@staff.example.com"
        for address, role in ((f"{uuid4().hex}@staff.example.com", "admin"), (email, "viewer")):
            assert self.terminal.ledger("staff", "add", address, "--role", role).status == 0
        return email, *more

    def staff_with_password(self) -> Arguments:
        (email,) = self.staff()
        with psycopg.connect(self.bench.database_url) as conn:
            conn.execute("UPDATE staff_links SET ended_at = now(), ended_how = 'used' WHERE ended_at IS NULL")
            conn.execute("UPDATE staff SET password_hash = 'not empty' WHERE password_hash = ''")
        return (email,)

    def staff_with_factor(self) -> Arguments:
        (email,) = self.staff()
        bench = self.bench
        account = StaffSessionRepository(bench.storage).find_credentials(EmailAddress.parse(email))
        assert account is not None
        factor = NewFactor(uuid4(), "totp", FactorContent(account.staff_id, "Phone", secret="JBSWY3DPEHPK3PXP"), 0)
        assert StaffFactorRepository(bench.storage).insert(factor, bench.storage.recorder.clock.now())
        return (email,)

    def staff_with_provider(self) -> Arguments:
        provider = {"ISSUER": "https://id.example.com", "CLIENT_ID": "ledger", "ROLES": "admins=admin"}
        for name, value in provider.items():
            self.monkeypatch.setenv(f"LEDGER_OIDC_{name}", value)
        return self.staff(uuid4().hex)

    def key(self) -> str:
        return str(self.terminal.ledger("key", "create", "reports", "--role", "viewer", "--json").json["id"])

    def file(self, text: str) -> str:
        path = self.folder / f"{uuid4().hex}.csv"
        path.write_text(text, "utf-8")
        return str(path)

    def output(self) -> Arguments:
        return "--output", str(self.folder / uuid4().hex)

    def old_system(self) -> str:
        return old.sqlite(self.folder / f"{uuid4().hex}.db", [old.code(1, "MOVED-1", used_count=0)], [])

    def with_new_key(self) -> Arguments:
        keys = os.environ["LEDGER_MASTER_KEYS"]
        self.monkeypatch.setenv("LEDGER_MASTER_KEYS", f"2:{'B' * 43}=,{keys}")
        return ()

    def moved_vault(self) -> Arguments:
        """Export everything, continue with an empty database that has the events, and give the file of the vault."""
        events, vault = self.output(), self.output()
        assert self.terminal.ledger("export", "events", *events).status == 0
        assert self.terminal.ledger("export", "vault", *vault).status == 0
        clone(self.postgres_url, self.copy)
        self.monkeypatch.setenv("DATABASE_URL", database_of(self.postgres_url, self.copy))
        assert self.terminal.ledger("import-events", events[1]).status == 0
        return (vault[1],)

    def records(self, after: tuple[int, int] = (0, 0)) -> tuple[list[str], tuple[int, int]]:
        """Types of events, then actions, that operators left after places in the two logs; the ends of both."""
        with closing(psycopg.connect(os.environ["DATABASE_URL"])) as conn:
            events = conn.execute(
                "SELECT notification_id, topic, state FROM ledger_events WHERE notification_id > %s ORDER BY 1",
                after[:1],
            ).fetchall()
            lines = conn.execute(
                "SELECT audit_id, act, coalesce(staff_id, key_id) IS NULL FROM audit WHERE audit_id > %s ORDER BY 1",
                after[1:],
            ).fetchall()
        of_operators = [
            type(event).__name__
            for event in (decode(topic, bytes(state)) for _, topic, state in events)
            if event.actor in {"operator", "import"}
        ]
        actions = [action for _, action, is_operator in lines if is_operator]
        ends = (events[-1][0] if events else after[0], lines[-1][0] if lines else after[1])
        return [*dict.fromkeys(of_operators), *actions], ends


@pytest.fixture
def ledger(
    bench: LedgerBench, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> Iterator[Ledger]:
    """The ledger; a copy that a command made is dropped."""
    world = Ledger(bench, terminal, tmp_path, monkeypatch, postgres_url, f"test_{uuid4().hex}")
    yield world
    if os.environ["DATABASE_URL"].endswith(world.copy):
        drop(postgres_url, world.copy)


RECORDED: Final[dict[str, tuple[Callable[[Ledger], Arguments], list[str]]]] = {
    "issue": (lambda _: (), ["CodeIssued"]),
    "refund": (lambda ledger: (ledger.reserved(), "--note", "asked"), ["UseRefunded"]),
    "reset-failed": (lambda ledger: (ledger.code_with_reservation(),), ["UseRefunded"]),
    "resolve": (
        lambda ledger: (ledger.unknown(), "--as", "sent", "--note", "seen"),
        ["CaseOpened", "InviteSent", "CaseClosed"],
    ),
    "approvals reject": (lambda ledger: (ledger.proposal(), "--note", "no"), ["rejected"]),
    "pause": (lambda ledger: (ledger.code(),), ["CodePaused"]),
    "resume": (lambda ledger: (ledger.paused("", ledger.code()),), ["CodeResumed"]),
    "change-codes": (lambda ledger: ("pause", ledger.group_of_code(), "--apply"), ["CodePaused", "changed_codes"]),
    "revoke": (lambda ledger: (ledger.code(),), ["CodeRevoked"]),
    "terms": (lambda ledger: (ledger.code(), "--max-uses", "7"), ["CodeTermsChanged"]),
    "cancel": (lambda ledger: (ledger.reserved(),), ["UseRefunded"]),
    "resend": (lambda ledger: (ledger.sent(),), ["ResendRequested"]),
    "rebind": (lambda ledger: (ledger.sent(), "--group", "blue"), ["RebindReserved"]),
    "note": (lambda ledger: (ledger.code(), "sold in a shop"), ["CodeNoted"]),
    "correct-recipient": (lambda ledger: (ledger.reserved(), "wang@example.com"), ["UseRefunded", "UseReserved"]),
    "refund-outage": (
        lambda ledger: (ledger.sent(), *WHOLE_TIME, "--include-sent", "--apply")[1:],
        ["UseRefunded"],
    ),
    "import-legacy": (lambda ledger: ("--dsn", ledger.old_system(), "--apply"), ["CodeIssued"]),
    "import-codes": (lambda ledger: (ledger.file("code\nMOVED-2\n"),), ["CodeIssued"]),
    "campaign create": (lambda _: ("Spring",), ["CampaignCreated"]),
    "campaign add": (lambda ledger: (ledger.campaign(), ledger.code()), ["CodeJoinedCampaign"]),
    "campaign remove": (lambda ledger: ledger.waiting(), ["WaitingListLeft"]),
    "campaign pause": (lambda ledger: (ledger.campaign(),), ["CampaignPaused"]),
    "campaign resume": (lambda ledger: (ledger.paused("campaign", ledger.campaign()),), ["CampaignResumed"]),
    "campaign end": (lambda ledger: (ledger.campaign(),), ["CampaignEnded"]),
    "campaign terms": (lambda ledger: (ledger.campaign(), "--name", "Harvest"), ["CampaignTermsChanged"]),
    "hand-out create": (lambda ledger: (ledger.campaign(), "Newsletter"), ["HandOutCreated"]),
    "hand-out add": (
        lambda ledger: (ledger.hand_out(), ledger.file("email\nb@example.com\n"), "--apply"),
        ["uploaded_recipients"],
    ),
    "hand-out change": (lambda ledger: (ledger.hand_out(), "--per-minute", "60"), ["HandOutChanged"]),
    "hand-out pause": (lambda ledger: (ledger.hand_out(),), ["HandOutPaused"]),
    "hand-out resume": (lambda ledger: (ledger.paused("hand-out", ledger.hand_out()),), ["HandOutResumed"]),
    "hand-out end": (lambda ledger: (ledger.hand_out(),), ["HandOutEnded"]),
    "hand-out resend": (Ledger.listed, ["requested_hand_out_email"]),
    "bounces take": (lambda ledger: (ledger.report_of(ledger.sent()),), ["InviteBounced", "CaseOpened"]),
    "hand-out bounce": (Ledger.handed_out, ["HandOutBounced"]),
    "hand-out give": (Ledger.free_code, ["CodeHandedOut"]),
    "hand-out export": (lambda ledger: (ledger.hand_out(),), ["exported_emails"]),
    "hand-out test": (lambda ledger: (ledger.hand_out(), PERSON), ["sent_hand_out_test"]),
    "apply": (
        lambda ledger: (
            "--file",
            ledger.file('[[campaigns]]\nname = "A"\n[[keys]]\nname = "B"\nrole = "viewer"\n'),
            "--yes",
        ),
        ["CampaignCreated", "made_key"],
    ),
    "group branding": (lambda _: ("VIP", "--accent", "#1f5fbf"), ["changed_group"]),
    "staff add": (lambda _: ("new@staff.example.com", "--role", "viewer"), ["added_staff"]),
    "staff invite": (Ledger.staff, ["repeated_invitation"]),
    "staff role": (lambda ledger: ledger.staff("support"), ["changed_role"]),
    "staff password": (Ledger.staff_with_password, ["reset_password"]),
    "staff remove-factors": (Ledger.staff_with_factor, ["removed_factors"]),
    "staff break-glass": (Ledger.staff_with_password, ["chose_break_glass"]),
    "staff connect": (Ledger.staff_with_provider, ["connected_identity"]),
    "staff remove": (Ledger.staff_with_password, ["removed_staff"]),
    "key create": (lambda _: ("reports", "--role", "viewer"), ["made_key"]),
    "key replace": (lambda ledger: (ledger.key(), "--no-end"), ["made_key", "replaced_key"]),
    "key change": (lambda ledger: (ledger.key(), "--network", "203.0.113.0/24"), ["changed_key"]),
    "key revoke": (lambda ledger: (ledger.key(),), ["revoked_key"]),
    "export codes": (Ledger.output, ["exported_codes"]),
    "export reservations": (lambda ledger: ("--emails", *ledger.output()), ["exported_emails"]),
    "export person": (lambda ledger: (PERSON, *ledger.output()), ["exported_person"]),
    "export vault": (Ledger.output, ["exported_vault"]),
    "backup": (lambda ledger: (str(ledger.folder / "backups"),), ["made_backup"]),
    "keys export": (Ledger.output, ["exported_keys"]),
    "forget": (
        lambda ledger: (ledger.reserved(PERSON), PERSON, "--reason", "asked")[1:],
        ["UseRefunded", "CodeRevoked", "forgot_person"],
    ),
    "relays": (lambda ledger: ("--remove", ledger.relay()), ["removed_relay"]),
    "rotate-keys": (Ledger.with_new_key, ["rotated_keys"]),
    "import-vault": (Ledger.moved_vault, ["imported_vault"]),
}
"""By command: what it is given, and what it then leaves. The last two change the ledger for those after them."""

BRINGS_LINES: Final = "import-vault"
"""The command that brings lines of another ledger; its own is the last one."""

READ: Final[dict[str, Callable[[Ledger], Arguments]]] = {
    "history": lambda ledger: (ledger.code(),),
    "explain": lambda ledger: (ledger.code(),),
    "what-if": lambda ledger: (ledger.code(), "--email", PERSON),
    "cases": lambda ledger: (ledger.unknown(), "--closed")[1:],
    "approvals list": lambda ledger: (ledger.proposal(), "--closed")[1:],
    "campaign list": lambda ledger: (ledger.campaign(),)[1:],
    "campaign show": lambda ledger: (ledger.campaign(),),
    "campaign history": lambda ledger: (ledger.campaign(),),
    "campaign explain": lambda ledger: (ledger.campaign(),),
    "campaign waiting": lambda ledger: (ledger.campaign(),),
    "hand-out list": lambda ledger: (ledger.campaign(),),
    "hand-out show": lambda ledger: (ledger.hand_out(),),
    "hand-out recipients": lambda ledger: ledger.listed()[:1],
    "hand-out preview": lambda ledger: (ledger.hand_out(),),
    "retention": lambda _: ("--days", "365"),
    "group show": lambda _: ("VIP",),
    "export config": Ledger.output,
    "export events": Ledger.output,
    "export statements": Ledger.output,
    "key list": lambda ledger: (ledger.key(),)[1:],
    "key show": lambda ledger: (ledger.key(),),
    "settings": lambda _: (),
    "staff list": lambda ledger: ledger.staff()[1:],
    "doctor": lambda _: ("--json",),
    "receipt": lambda ledger: (ledger.proven(),),
    "check-receipt": lambda ledger: (ledger.file("{}"), "--public-key", "A" * 43 + "="),
    "consistency": lambda _: ("1", "1"),
    "public-key": lambda _: (),
}
"""By command that only reads: what it is given."""


def test_every_command_leaves_a_record_or_says_why_not() -> None:
    """Add a new command to RECORDED with what it leaves; if it only reads, declare that on it and add it to READ."""
    recorded = [name for name, why in REASONS.items() if why is None]
    reading = [name for name, why in REASONS.items() if why == READS_ONLY]

    assert sorted(recorded) == sorted(RECORDED)
    assert sorted(reading) == sorted(READ)


def test_commands_that_change_or_reveal_leave_a_record(ledger: Ledger) -> None:
    """An event by an operator, or a line in the audit log that names no staff and no key. No mail server runs here."""
    wrong = []
    for command, (arguments, expected) in RECORDED.items():
        words = arguments(ledger)
        _, before = ledger.records()
        ended = ledger.terminal.ledger(*command.split(), *words)
        left, _ = ledger.records(before)
        own = left[-1:] if command == BRINGS_LINES else left
        if ended.status not in {0, 1} or own != expected:
            wrong.append(f"{command}: exit code {ended.status}, left {left}: {ended.err[-300:]}")

    assert wrong == []


def read_rows(ledger: Ledger) -> dict[str, str]:
    digest = sql.SQL("SELECT {}, md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {} t")
    with closing(psycopg.connect(ledger.bench.database_url)) as conn:
        names = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        digests = [digest.format(sql.Literal(name), sql.Identifier(name)) for (name,) in names]
        return dict(conn.execute(sql.SQL(" UNION ALL ").join(digests)).fetchall())


def test_commands_that_only_read_change_no_row(ledger: Ledger) -> None:
    """So that a command cannot declare this and change something."""
    wrong = []
    for command, arguments in READ.items():
        words = arguments(ledger)
        before = read_rows(ledger)
        ended = ledger.terminal.ledger(*command.split(), *words)
        changed = sorted(name for name, rows in read_rows(ledger).items() if rows != before[name])
        if ended.status not in {0, 1} or changed:
            wrong.append(f"{command}: exit code {ended.status}, changed {changed}: {ended.err[-300:]}")

    assert wrong == []


def test_command_that_did_nothing_leaves_no_line(ledger: Ledger) -> None:
    key, (email,) = ledger.key(), ledger.staff_with_password()
    first = [ledger.terminal.ledger("key", "revoke", key), ledger.terminal.ledger("staff", "remove", email)]
    left, before = ledger.records()
    again = [ledger.terminal.ledger("key", "revoke", key), ledger.terminal.ledger("staff", "remove", email)]

    assert [ended.status for ended in (*first, *again)] == [0, 0, 4, 4]
    assert left[-2:] == ["revoked_key", "removed_staff"]
    assert ledger.records(before)[0] == []


def test_every_export_of_addresses_or_codes_records_its_reason(ledger: Ledger) -> None:
    """Commands ask for nothing, so without one the line says that none was given; what limited the export follows."""
    hand_out = ledger.hand_out()
    exports: list[Arguments] = [
        ("export", "codes", "--group", "blue"),
        ("export", "reservations", "--emails"),
        ("export", "person", PERSON),
        ("hand-out", "export", hand_out),
    ]
    for words in exports:
        assert ledger.terminal.ledger(*words, "--reason", "asked by the owner").status == 0
        assert ledger.terminal.ledger(*words).status == 0

    rows = AuditReader(ledger.bench.storage).list_page(2 * len(exports))
    reasons = [row.reason for row in reversed(rows)]

    assert reasons == [
        *("asked by the owner; group: blue", "no reason was given; group: blue"),
        *["asked by the owner", "no reason was given"] * 3,
    ]
