"""Texts that people and servers typed come out of every command whole, and are neither markup nor terminal commands."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import typer
from argon2 import PasswordHasher
from msgspec.structs import replace

from api.cli.app import app
from api.use_cases.administration.create_api_key import ApiKeyRequest, create_api_key
from domain.commands.add_note import NoteOnCode
from domain.commands.code.issue import IssueCode
from domain.commands.hand_out.manage_hand_out import CreateHandOut
from domain.ports import Accepted, Rejected
from domain.values.identifiers import EmailAddress
from projections.repositories.audit_log import OPERATOR, AuditLog
from projections.repositories.staff_accounts import StaffAccountRepository
from tests.support.clients.terminal import CommandResult, Terminal, walk_commands
from tests.support.ledger import legacy_database as old
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench, done

pytestmark = [pytest.mark.night(of="stacks"), pytest.mark.usefixtures("database_url")]

HOSTILE = "[/x] [red]R[/red] :smile: \x1b[31mE \x1b]0;title\x07 \u202eabc\u202c \u2066d\u2069 a\rb \x9b31m end"
SHOWN = r"[/x] [red]R[/red] :smile: \x1b[31mE \x1b]0;title\x07 \u202eabc\u202c \u2066d\u2069 a\rb \u009b31m end"
ACTING = ("\x1b[31m", "\x1b]", "\x07", "\u202e", "\u2066", "a\rb", "\x9b")
PRINTABLE = "[/x] [red]R[/red] :smile:"
"""What doors that refuse control characters let in."""
ODD_ADDRESS = "/{x}!#$%&'*+=?^_`|~@x.example"
SGR = re.compile(r"\x1b\[[\d;]*m")
"""Styles of our own: none of them is plain red, as in HOSTILE."""

Arguments = tuple[str, ...]


@dataclass
class Stage:
    """A ledger that is full of such texts."""

    bench: LedgerBench
    folder: Path

    def code(self) -> str:
        code_id, note = uuid4(), self.bench.storage.vault.seal_text(HOSTILE, uuid4())
        text = self.bench.storage.vault.draft_code(f"{HOSTILE}{code_id}", code_id)
        context = self.bench.context("operator")
        issued = IssueCode(
            context=context,
            code_id=code_id,
            text=text,
            terms=make_terms(max_uses=9, group=PRINTABLE),
            bound=False,
        )
        done(self.bench.run(issued))
        done(self.bench.run(NoteOnCode(context=context, code_id=code_id, note=note)))
        return str(code_id)

    def campaign(self) -> str:
        return str(self.bench.create_campaign(name=PRINTABLE, group=PRINTABLE))

    def hand_out(self, *, with_campaign: bool = False) -> str:
        command = CreateHandOut(
            context=self.bench.context("operator"),
            campaign_id=UUID(self.campaign()),
            hand_out_id=uuid4(),
            name=PRINTABLE,
            terms=make_terms(group=PRINTABLE),
        )
        self.bench.storage.ledger.execute_one(command)
        return str(command.campaign_id if with_campaign else command.hand_out_id)

    def reservation(self, outcome: Accepted | Rejected | None = None) -> tuple[str, UUID]:
        code_id, vault = self.code(), self.bench.storage.vault
        command = self.bench.reserve("unused", f"{uuid4().hex}@example.com")
        command = replace(command, code_digests=vault.compute_digests("code", f"{HOSTILE}{code_id}"))
        reservation_id = done(self.bench.run(command)).require_reservation().reservation_id
        if outcome is not None:
            self.bench.attempt(reservation_id, outcome)
        return code_id, reservation_id

    def reserve(self) -> str:
        return str(self.reservation()[1])

    def sent(self) -> str:
        return str(self.reservation(Accepted(server=HOSTILE, reply_code=250))[1])

    def rejected(self) -> str:
        return self.reservation(Rejected(server=HOSTILE, reply_code=550, reason="other", reply=HOSTILE, final=True))[0]

    def file(self, text: str, name: str = "file") -> str:
        path = self.folder / name
        path.write_text(text, "utf-8", newline="")
        return str(path)

    def old_system(self) -> str:
        path = self.folder / f"{uuid4().hex}.db"
        rows = [old.code(1, HOSTILE[:50], used_count=3), old.code(2, "A-1", used_count=3, bound_email=HOSTILE)]
        return old.sqlite(path, rows, [old.record(1, HOSTILE[:50], HOSTILE), old.record(2, None, HOSTILE)])

    def staff(self) -> str:
        """A member of staff; the one before has an address of the oddest signs that addresses may have."""
        draft = self.bench.storage.vault.draft_staff(EmailAddress.parse(f"{uuid4().hex}{ODD_ADDRESS}"), uuid4())
        now = self.bench.storage.recorder.clock.now()
        assert StaffAccountRepository(self.bench.storage).insert(draft, PasswordHasher().hash("x"), "admin", now)
        address = f"{uuid4().hex}@x.example"
        assert StaffAccountRepository(self.bench.storage).insert(
            self.bench.storage.vault.draft_staff(EmailAddress.parse(address), uuid4()),
            PasswordHasher().hash("x"),
            "admin",
            now,
        )
        return address

    def key(self) -> str:
        key_id = uuid4()
        request = ApiKeyRequest(HOSTILE, "viewer", [], None)
        create_api_key(
            AuditLog(self.bench.storage, OPERATOR, self.bench.storage.recorder.clock.now(), uuid4), request, key_id
        )
        return str(key_id)

    def around_now(self) -> Arguments:
        now = self.bench.storage.recorder.clock.now()
        return "--from", (now - timedelta(hours=1)).isoformat(), "--to", (now + timedelta(hours=1)).isoformat()

    def drifting(self) -> Arguments:
        code_id = self.code()
        self.bench.rows("UPDATE code_balances SET group_name = %s WHERE code_id = %s RETURNING 1", HOSTILE, code_id)
        return ("--code", code_id)


def after(_: object, *arguments: str) -> Arguments:
    """Arguments for a command that needs something to be there first."""
    return arguments


NOT_SHOWN = {
    "up": "starts servers; its own words and generated secrets are all that it prints",
    "run": "becomes another process; its errors are those of `migrate`",
    "relay": "runs until it is stopped; names and targets have few signs",
    "mcp": "speaks a protocol to a program, which gets every text of others as JSON",
}
"""Commands that print no text that anybody typed."""

CASES: dict[str, tuple[Callable[[Stage], Arguments], str]] = {
    "migrate": (lambda _: (), ""),
    "clock": (lambda _: (), ""),
    "hand-out create": (lambda stage: (stage.campaign(), PRINTABLE, "--group", PRINTABLE, "--subject", HOSTILE), ""),
    "hand-out add": (
        lambda stage: (stage.hand_out(), stage.file(f"email,language\nli@x.example,{HOSTILE[:20]}\n")),
        "[/x] [red]r[/red] :s",
    ),
    "hand-out change": (lambda stage: (stage.hand_out(), "--subject-en", HOSTILE), ""),
    "hand-out list": (lambda stage: (stage.hand_out(with_campaign=True),), PRINTABLE),
    "hand-out show": (lambda stage: (stage.hand_out(),), ""),
    "hand-out recipients": (lambda stage: (stage.hand_out(),), ""),
    "hand-out resend": (lambda stage: (stage.hand_out(), HOSTILE), ""),
    "hand-out bounce": (lambda stage: (stage.hand_out(), HOSTILE), ""),
    "hand-out give": (lambda stage: (stage.hand_out(), HOSTILE, "a@example.com"), ""),
    "hand-out pause": (lambda stage: (stage.hand_out(),), ""),
    "hand-out resume": (lambda _: (HOSTILE,), ""),
    "hand-out end": (lambda stage: (stage.hand_out(),), ""),
    "hand-out export": (lambda stage: (stage.hand_out(),), ""),
    "hand-out preview": (lambda stage: (stage.hand_out(),), ""),
    "hand-out test": (lambda stage: (stage.hand_out(), HOSTILE), ""),
    "campaign create": (lambda _: (PRINTABLE, "--group", PRINTABLE, "--denied-domains", HOSTILE), ""),
    "campaign list": (lambda stage: after(stage.campaign()), PRINTABLE),
    "campaign show": (lambda stage: (stage.campaign(),), PRINTABLE),
    "campaign waiting": (lambda stage: (stage.campaign(),), ""),
    "relays": (lambda _: ("--remove", HOSTILE), ""),
    "campaign remove": (lambda stage: (stage.campaign(), HOSTILE), ""),
    "campaign history": (lambda stage: (stage.campaign(),), PRINTABLE),
    "campaign explain": (lambda stage: (stage.campaign(),), PRINTABLE),
    "campaign add": (lambda stage: (stage.campaign(), stage.code(), HOSTILE), ""),
    "campaign pause": (lambda stage: (stage.campaign(),), ""),
    "campaign resume": (lambda _: (HOSTILE,), ""),
    "campaign end": (lambda stage: (stage.campaign(),), ""),
    "campaign terms": (lambda stage: (stage.campaign(), "--name", HOSTILE), ""),
    "issue": (lambda _: ("--group", PRINTABLE, "--note", HOSTILE), ""),
    "history": (lambda stage: (stage.rejected(),), SHOWN),
    "refund": (lambda stage: (stage.reserve(), "--note", HOSTILE), ""),
    "reset-failed": (lambda stage: (stage.reservation()[0],), SHOWN),
    "cases": (lambda _: ("--closed",), ""),
    "approvals list": (lambda _: (), ""),
    "approvals reject": (lambda _: (str(uuid4()), "--reason", HOSTILE), ""),
    "resolve": (lambda stage: (stage.reserve(), "--as", "sent", "--note", HOSTILE), ""),
    "pause": (lambda stage: (stage.code(), "--note", HOSTILE), ""),
    "resume": (lambda stage: (stage.code(), "--note", HOSTILE), ""),
    "retention": (lambda _: ("--days", "365"), ""),
    "revoke": (lambda stage: (stage.code(), "--note", HOSTILE), ""),
    "change-codes": (lambda _: ("pause", f"group:{HOSTILE}", "--note", HOSTILE), ""),
    "group show": (lambda _: (PRINTABLE,), ""),
    "apply": (
        lambda stage: ("--file", stage.file(f"[[campaigns]]\nname = {json.dumps(PRINTABLE)}\n[[keys]]\nname = 'x'\n")),
        "",
    ),
    "export config": (lambda stage: after(stage.campaign()), PRINTABLE),
    "group branding": (lambda _: (PRINTABLE, "--accent", HOSTILE), ""),
    "terms": (lambda stage: (stage.code(), "--group", PRINTABLE, "--expires-at", HOSTILE), ""),
    "cancel": (lambda stage: (stage.reserve(), "--note", HOSTILE), ""),
    "resend": (lambda stage: (stage.sent(), "--note", HOSTILE), ""),
    "rebind": (lambda stage: (stage.sent(), "--group", f"{PRINTABLE} 2", "--note", HOSTILE), ""),
    "note": (lambda stage: (stage.code(), HOSTILE), ""),
    "correct-recipient": (lambda stage: (stage.reserve(), "[/x]@example.com", "--note", HOSTILE), ""),
    "refund-outage": (lambda stage: after(stage.sent(), "--include-sent", *stage.around_now()), SHOWN),
    "import-legacy": (lambda stage: ("--dsn", stage.old_system()), SHOWN[:40]),
    "import-codes": (lambda stage: (stage.file(f'code,"{HOSTILE}"\n1,2\n'), "--format", "csv"), SHOWN[:24]),
    "forget": (lambda _: (HOSTILE, "--reason", HOSTILE), ""),
    "rotate-keys": (lambda _: (), ""),
    "check-engine": (lambda _: (f"postgresql://127.0.0.1:1/{HOSTILE}",), ""),
    "what-if": (lambda stage: (stage.rejected(), "--email", f"[/x]{uuid4().hex}@example.com"), ""),
    "doctor": (lambda _: (), f"LEDGER_{SHOWN[:16].upper()}"),
    "settings": (lambda _: (), f"LEDGER_{SHOWN[:16].upper()}"),
    "rebuild": (lambda stage: stage.drifting(), SHOWN),
    "verify": (lambda stage: after(stage.drifting()), SHOWN),
    "explain": (lambda stage: (stage.rejected(),), ""),
    "receipt": (lambda stage: (stage.sent(),), ""),
    "check-receipt": (lambda stage: (stage.file(json.dumps({HOSTILE: HOSTILE})), "--public-key", "A" * 43 + "="), ""),
    "consistency": (lambda _: ("1", "2"), ""),
    "public-key": (lambda _: (), ""),
    "import-events": (lambda stage: (stage.file(HOSTILE),), ""),
    "import-vault": (lambda stage: (stage.file(HOSTILE),), ""),
    "exec": (lambda _: (HOSTILE,), SHOWN),
    "keys export": (lambda _: (), ""),
    "key create": (lambda _: (PRINTABLE, "--role", "viewer"), ""),
    "key list": (lambda stage: after(stage.key()), SHOWN),
    "key show": (lambda stage: (stage.key(),), SHOWN),
    "key replace": (lambda stage: (stage.key(), "--until", HOSTILE), ""),
    "key change": (lambda stage: (stage.key(), "--network", HOSTILE), ""),
    "key revoke": (lambda stage: (stage.key(),), ""),
    "staff add": (lambda _: (f"[/x]{HOSTILE}@x.example", "--role", "viewer"), ""),
    "staff invite": (lambda stage: (stage.staff(),), ""),
    "staff connect": (lambda stage: (stage.staff(), HOSTILE), ""),
    "staff break-glass": (lambda stage: (stage.staff(),), ""),
    "staff role": (lambda stage: (stage.staff(), HOSTILE), ""),
    "staff password": (lambda stage: (stage.staff(),), ""),
    "staff remove": (lambda stage: (stage.staff(),), ""),
    "staff remove-factors": (lambda stage: (stage.staff(), "--reason", HOSTILE), ""),
    "staff list": (lambda stage: after(stage.staff()), ODD_ADDRESS),
    "export events": (lambda _: (), ""),
    "export vault": (lambda _: (), ""),
    "bounces take": (lambda stage: (stage.file(HOSTILE),), ""),
    "backup": (lambda stage: (str(stage.folder / HOSTILE.replace("/", "")),), ""),
    "restore": (lambda stage: (str(stage.folder), "--backup", HOSTILE, "--until", HOSTILE), ""),
    "export person": (lambda _: ("li.wei@example.com", "--reason", HOSTILE), ""),
    "export codes": (lambda stage: after(stage.code()), PRINTABLE),
    "export reservations": (lambda stage: after(stage.sent()), ""),
    "export statements": (lambda stage: ("--code", stage.rejected()), ""),
}
"""By command: what it is given, and what a person then reads of HOSTILE."""


@pytest.fixture
def stage(
    bench: LedgerBench,
    tmp_path: Path,
    terminal: Terminal,  # noqa: ARG001 - it sets the environment
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    """A ledger; the terminal is wide, so that no text is broken into lines."""
    monkeypatch.setenv("COLUMNS", "900")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv(f"LEDGER_{HOSTILE}", "1")
    monkeypatch.setattr("projections.terminal.tables.PIPED_COLUMNS", 900)
    return Stage(bench, tmp_path)


def test_every_command_runs_with_hostile_texts_or_is_excused() -> None:
    assert sorted([*CASES, *NOT_SHOWN]) == sorted(dict(walk_commands(typer.main.get_command(app))))


def find_problem(ended: CommandResult, shown: str, *, is_file: bool) -> str:
    said = ended.out + ended.err
    if ended.status not in {0, 1, 2, 4, 127} or "Traceback" in said:
        return f"exit code {ended.status}: {said[-500:]}"
    if not is_file and (acting := [sign for sign in ACTING if sign in said]):
        return f"{acting} reached the terminal: {said[:500]!r}"
    return "" if shown in SGR.sub("", said) else f"{shown} was not shown: {said[:1500]!r}"


@pytest.mark.parametrize("is_tty", [False, True])
def test_commands_print_hostile_texts_escaped_and_complete(stage: Stage, terminal: Terminal, is_tty: bool) -> None:
    """With a terminal and without one; only a file in a pipe holds them as they are."""
    run = terminal.ledger_on_a_tty if is_tty else terminal.ledger

    troubles = {}
    for command, (arguments, shown) in CASES.items():
        ended = run(*command.split(), *arguments(stage))
        is_file = not is_tty and command.startswith("export ")
        if problem := find_problem(ended, shown, is_file=is_file):
            troubles[command] = problem

    assert troubles == {}


@pytest.mark.parametrize("is_tty", [False, True])
def test_json_output_holds_hostile_texts_exactly(stage: Stage, terminal: Terminal, is_tty: bool) -> None:
    """On a terminal with escapes of JSON's own; elsewhere to the byte."""
    run = terminal.ledger_on_a_tty if is_tty else terminal.ledger
    assert stage.key()
    assert stage.staff()

    names = run("key", "list", "--json")
    people = run("staff", "list", "--json")
    findings = run("import-legacy", "--dsn", stage.old_system(), "--json")

    assert [line["name"] for line in names.json] == [HOSTILE]
    assert any(line["email"].endswith(ODD_ADDRESS) for line in people.json)
    assert HOSTILE[:50] in [finding["code"] for finding in findings.json["findings"]]
    if is_tty:
        assert [sign for sign in ACTING if sign in names.out + people.out + findings.out] == []


def test_history_follow_prints_no_markup(stage: Stage, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends by Ctrl-C, here at its first pause."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    code = stage.rejected()
    monkeypatch.setattr(time, "sleep", interrupt)

    ended = terminal.ledger_on_a_tty("history", code, "--follow")

    assert ended.status == 130
    assert [sign for sign in ACTING if sign in ended.out] == []


def test_key_list_wraps_a_long_name_on_a_narrow_terminal(
    stage: Stage, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.key()
    monkeypatch.setenv("COLUMNS", "100")

    shown = terminal.ledger_on_a_tty("key", "list").out

    assert "…" not in shown
    assert "end" in shown
