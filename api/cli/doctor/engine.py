"""`ledger check-engine`: whether a database engine keeps what the ledger relies on."""

from typing import Annotated

import typer

from api.cli.command_index import leaves_no_record
from api.cli.doctor.check_result import CheckResult
from api.cli.printing import JsonFlag, print_json
from projections.database.connection import is_database_url
from projections.database.errors import StorageUnavailableError, describe_target
from projections.engine_check.check_engine import check_engine
from projections.engine_check.findings import EngineFinding, find_faults
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, styled, table
from projections.terminal.text import say

STYLES = {"ok": "green", "wrong": "bold red", "limited": "yellow", "skipped": "yellow"}
REMEDY = "`ledger check-engine URL` shows each check; docs/explanation/engines.md tells which engines hold"


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("check-engine")(check)


@leaves_no_record("it works in a scratch schema")
def check(
    url: Annotated[str, typer.Argument(help="URI of the database, as DATABASE_URL would have it.")],
    json: JsonFlag = False,
) -> int:
    """Check that a database engine keeps what the ledger relies on.

    Nothing stays behind: tables of the checks are in a schema that is dropped at the end, if the role may create one.

    Exit code 1: the ledger must not run on this engine. Exit code 3: it cannot be reached.

    Example: `ledger check-engine postgresql://ledger@db:5432/ledger`
    """
    if not is_database_url(url):
        raise typer.BadParameter("not a libpq URI: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
    try:
        findings = check_engine(url)
    except StorageUnavailableError as error:
        raise StorageUnavailableError(f"{error}; start it, or correct the URL") from error
    faults = find_faults(findings)
    if json:
        checks = [finding._asdict() for finding in findings]
        print_json({"ok": not faults, "engine": describe_target(url), "checks": checks})
    else:
        _print_table(findings)
        say(
            f"{len(faults)} of {len(findings)} checks failed: the ledger must not run on this engine"
            if faults
            else "the ledger can run on this engine"
        )
    return ExitCode.FINDINGS if faults else ExitCode.OK


def check_settled_engine(database_url: str) -> CheckResult:
    """Check the engine behind DATABASE_URL, as one row of `ledger doctor`."""
    try:
        findings = check_engine(database_url)
    except StorageUnavailableError as error:
        return CheckResult("engine", "skipped", f"not checked: {error}")
    notes = [finding for finding in findings if finding.status in {"wrong", "limited"}]
    if not notes:
        return CheckResult("engine", "ok", f"{len(findings)} checks of locks, order, triggers and protocol passed")
    shown = "; ".join(f"{finding.name}: {finding.result}; else {finding.cost}" for finding in notes)
    return CheckResult("engine", "wrong" if find_faults(findings) else "reminder", shown, REMEDY)


def _print_table(findings: list[EngineFinding]) -> None:
    listed = table("check", "state", "found", "what it would cost", fixed=("check", "state"))
    for finding in findings:
        listed.add_row(finding.name, styled(finding.status, STYLES[finding.status]), finding.result, finding.cost)
    show(listed)
