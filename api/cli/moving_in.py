"""`ledger import-legacy`: move in from the counter-based system."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from msgspec.structs import replace

from api.cli.arguments import JsonFlag
from api.cli.context import EXIT_SERVICE, EXIT_USAGE, OpenLedger, Session, complain, print_json
from api.moving_in.findings import FINDING_KINDS, Finding, Tally
from api.moving_in.report import report_file
from api.moving_in.service import MovingIn, Plan
from domain.decisions.command import Context
from projections.legacy.source import LegacySourceError, OldSystem, open_old_system
from projections.terminal_tables import Progress, progress_bar
from projections.terminal_text import say

SHOWN_PER_KIND_MAX = 10
LISTED_MAX = 1000

WORDS = {
    "codes_read": "codes read",
    "agreeing": "agreeing",
    "too_high": "counted too high",
    "too_low": "counted too low",
    "over_limit": "over the limit",
    "in_doubt": "with invitations in doubt",
    "bad_email": "with bad e-mails",
    "orphan": "orphan records (groups of one code)",
    "duplicate": "equal in normal form (refused)",
    "bad_code": "not a code",
    "unreadable": "unreadable rows",
    "no_group": "without their group",
    "already": "in the ledger already",
    "rebinds": "records of rebinds (no use)",
    "guessable": "codes so short that they could be guessed (docs/guessing.md)",
    "imported": "taken over",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("import-legacy")(import_legacy)


def import_legacy(
    context: typer.Context,
    dsn: Annotated[str, typer.Option(help="sqlite:////absolute/path.db or postgresql://user@host/database")],
    apply: Annotated[bool, typer.Option("--apply", help="Take the codes over; without it only reports.")] = False,
    keep_unproven: Annotated[
        bool, typer.Option("--keep-unproven", help="Count what only the old counter claims, as an opening balance.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write all findings to a .csv, .html or .txt file.")] = None,
    json: JsonFlag = False,
) -> int:
    """Weigh the codes of the old system by its invite records, and take them over. It is only read, never written.

    What is interrupted goes on with the next run; what is in the ledger already is left as it is.
    """
    session: Session = context.obj
    try:
        with session.open() as ledger, open_old_system(dsn) as old:
            tally, listed = _run(ledger, old, report, apply=apply, keep_unproven=keep_unproven)
    except LegacySourceError as fault:
        complain(str(fault))
        return EXIT_SERVICE
    except OSError as fault:
        complain(f"the report can't be written to {report}: {fault.strerror}")
        return EXIT_USAGE
    if json:
        print_json({"applied": apply, **tally.document(), "findings": [item._asdict() for item in listed]})
    else:
        _print(tally, listed, apply=apply)
    return 0


def _run(
    ledger: OpenLedger, old: OldSystem, report: Path | None, *, apply: bool, keep_unproven: bool
) -> tuple[Tally, list[Finding]]:
    """One run with its progress; the counts, and the findings up to a bound."""
    correlation_id = uuid4()

    def now() -> Context:
        return replace(ledger.context(), actor="import", correlation_id=correlation_id)

    plan = Plan(
        apply=apply, keep_unproven=keep_unproven, language=ledger.settings.default_language, now=now, new_id=uuid4
    )
    moving = MovingIn(ledger.storage, ledger.reader, plan)
    listed: list[Finding] = []
    with _progress(old.count(), apply=apply) as step, report_file(report, moving.tally) as write:
        for finding in moving.run(old, step):
            write(finding)
            if len(listed) < LISTED_MAX:
                listed.append(finding)
    return moving.tally, listed


class _Step:
    """Moves a progress bar."""

    def __init__(self, bar: Progress, total: int, words: str) -> None:
        self._bar = bar
        self._task = bar.add_task(words, total=total)

    def __call__(self, done: int) -> None:
        self._bar.update(self._task, completed=done)


@contextmanager
def _progress(total: int, *, apply: bool) -> Iterator[_Step]:
    with progress_bar() as bar:
        yield _Step(bar, total, "taking over" if apply else "weighing")


def _print(tally: Tally, listed: list[Finding], *, apply: bool) -> None:
    by_kind = {kind: [item for item in listed if item.kind == kind] for kind in FINDING_KINDS}
    for found in chain.from_iterable(items[:SHOWN_PER_KIND_MAX] for items in by_kind.values()):
        say(f"{found.code or '-'} (old id {found.old_id}): {found.sentence}")
    if listed:
        say("")
    for name, number in tally.document().items():
        if number or name in {"codes_read", "agreeing", "imported"}:
            say(f"{number:>9,}  {WORDS[name]}")
    if sum(tally.kinds.values()) > sum(len(items[:SHOWN_PER_KIND_MAX]) for items in by_kind.values()):
        say("more was found than is shown here: --report FILE.html (or .csv) has all of it")
    if not apply:
        say("nothing was changed: add --apply to take the codes over")
