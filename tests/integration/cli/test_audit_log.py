"""Each command of an operator that changes or reveals something leaves an event or a line in the audit log."""

import os
from collections.abc import Callable
from contextlib import closing
from typing import Final

import psycopg
import pytest
import typer
from psycopg import sql

from api.cli.app import app
from api.cli.command_index import READS_ONLY, WITHOUT_RECORD
from projections.event_store.codec import decode
from projections.repositories.audit_reader import AuditReader
from tests.integration.cli.prepared_ledger import PERSON, WHOLE_TIME, Arguments, PreparedLedger
from tests.support.clients.terminal import walk_commands

pytestmark = pytest.mark.usefixtures("database_url")

COMMANDS: Final = dict(walk_commands(typer.main.get_command(app)))
REASONS: Final[dict[str, str | None]] = {
    name: getattr(command.callback, WITHOUT_RECORD, None) for name, command in COMMANDS.items()
}
"""Why a command leaves no record; None: it leaves one."""

Place = tuple[int, int]
"""In the log of events and in the audit log."""


def records(after: Place = (0, 0)) -> tuple[list[str], Place]:
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


RECORDED: Final[dict[str, tuple[Callable[[PreparedLedger], Arguments], list[str]]]] = {
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
    "hand-out resend": (PreparedLedger.listed, ["requested_hand_out_email"]),
    "bounces take": (lambda ledger: (ledger.report_of(ledger.sent()),), ["InviteBounced", "CaseOpened"]),
    "hand-out bounce": (PreparedLedger.handed_out, ["HandOutBounced"]),
    "hand-out give": (PreparedLedger.free_code, ["CodeHandedOut"]),
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
    "staff invite": (PreparedLedger.staff, ["repeated_invitation"]),
    "staff role": (lambda ledger: ledger.staff("support"), ["changed_role"]),
    "staff password": (PreparedLedger.staff_with_password, ["reset_password"]),
    "staff remove-factors": (PreparedLedger.staff_with_factor, ["removed_factors"]),
    "staff break-glass": (PreparedLedger.staff_with_password, ["chose_break_glass"]),
    "staff connect": (PreparedLedger.staff_with_provider, ["connected_identity"]),
    "staff remove": (PreparedLedger.staff_with_password, ["removed_staff"]),
    "key create": (lambda _: ("reports", "--role", "viewer"), ["made_key"]),
    "key replace": (lambda ledger: (ledger.key(), "--no-end"), ["made_key", "replaced_key"]),
    "key change": (lambda ledger: (ledger.key(), "--network", "203.0.113.0/24"), ["changed_key"]),
    "key revoke": (lambda ledger: (ledger.key(),), ["revoked_key"]),
    "export codes": (PreparedLedger.output, ["exported_codes"]),
    "export reservations": (lambda ledger: ("--emails", *ledger.output()), ["exported_emails"]),
    "export person": (lambda ledger: (PERSON, *ledger.output()), ["exported_person"]),
    "export vault": (PreparedLedger.output, ["exported_vault"]),
    "backup": (lambda ledger: (str(ledger.folder / "backups"),), ["made_backup"]),
    "keys export": (PreparedLedger.output, ["exported_keys"]),
    "forget": (
        lambda ledger: (ledger.reserved(PERSON), PERSON, "--reason", "asked")[1:],
        ["UseRefunded", "CodeRevoked", "forgot_person"],
    ),
    "relays": (lambda ledger: ("--remove", ledger.relay()), ["removed_relay"]),
    "rotate-keys": (PreparedLedger.new_key, ["rotated_keys"]),
    "import-vault": (PreparedLedger.moved_vault, ["imported_vault"]),
}
"""By command: what it is given, and what it then leaves. The last two change the ledger for those after them."""

BRINGS_LINES: Final = "import-vault"
"""The command that brings lines of another ledger; its own is the last one."""

READ: Final[dict[str, Callable[[PreparedLedger], Arguments]]] = {
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
    "export config": PreparedLedger.output,
    "export events": PreparedLedger.output,
    "export statements": PreparedLedger.output,
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


def test_commands_that_change_or_reveal_leave_a_record(ledger: PreparedLedger) -> None:
    """An event by an operator, or a line in the audit log that names no staff and no key. No mail server runs here."""
    wrong = []
    for command, (arguments, expected) in RECORDED.items():
        words = arguments(ledger)
        _, before = records()
        ended = ledger.terminal.ledger(*command.split(), *words)
        left, _ = records(before)
        own = left[-1:] if command == BRINGS_LINES else left
        if ended.status not in {0, 1} or own != expected:
            wrong.append(f"{command}: exit code {ended.status}, left {left}: {ended.err[-300:]}")

    assert wrong == []


def read_rows(ledger: PreparedLedger) -> dict[str, str]:
    digest = sql.SQL("SELECT {}, md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) FROM {} t")
    with closing(psycopg.connect(ledger.bench.database_url)) as conn:
        names = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        digests = [digest.format(sql.Literal(name), sql.Identifier(name)) for (name,) in names]
        return dict(conn.execute(sql.SQL(" UNION ALL ").join(digests)).fetchall())


def test_commands_that_only_read_change_no_row(ledger: PreparedLedger) -> None:
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


def test_command_that_did_nothing_leaves_no_line(ledger: PreparedLedger) -> None:
    key, (email,) = ledger.key(), ledger.staff_with_password()
    first = [ledger.terminal.ledger("key", "revoke", key), ledger.terminal.ledger("staff", "remove", email)]
    left, before = records()
    again = [ledger.terminal.ledger("key", "revoke", key), ledger.terminal.ledger("staff", "remove", email)]

    assert [ended.status for ended in (*first, *again)] == [0, 0, 4, 4]
    assert left[-2:] == ["revoked_key", "removed_staff"]
    assert records(before)[0] == []


def test_every_export_of_addresses_or_codes_records_its_reason(ledger: PreparedLedger) -> None:
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
