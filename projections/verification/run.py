"""The command `verify`: progress, the report and the exit code, for `ledger verify` and `python -m projections`."""

from datetime import timedelta
from typing import Any, TextIO

from projections.database.errors import SchemaMismatchError, StorageUnavailableError
from projections.rebuild.diff import difference_document
from projections.rebuild.run import (
    ProgressLines,
    difference_lines,
    print_document,
)
from projections.replay.findings import RuleViolation
from projections.replay.worker_pool import WorkerDiedError
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import one_line, say
from projections.verification.merkle_check import ExternalEvidence
from projections.verification.vault_check import VAULT_ROWS
from projections.verification.verify import NO_EXTERNAL_EVIDENCE, VerificationReport, verify

SLACK_S = 60.0
"""Seconds on top of a lease and a sweep, after which an unsettled reservation past its deadline is a violation."""


def overdue_grace(lease_s: float, sweep_s: float) -> timedelta:
    """Return how long after its deadline a reservation may be unsettled."""
    return timedelta(seconds=lease_s + sweep_s + SLACK_S)


def run_verify(
    database_url: str,
    grace: timedelta,
    listed_max: int,
    evidence: ExternalEvidence = NO_EXTERNAL_EVIDENCE,
    workers: int | None = None,
    *,
    as_json: bool,
    out: TextIO,
    err: TextIO,
) -> int:
    """Check everything, and print the report.

    Returns:
        0 if everything holds; 1 if a row differs or a rule is broken; 3 if the database is unavailable or has
        another schema, or a worker process ended; 130 if interrupted.
    """
    progress = ProgressLines(err, as_json=as_json)
    try:
        report = verify(database_url, grace, progress, listed_max, evidence, workers=workers)
    except KeyboardInterrupt:
        progress.close()
        say("interrupted", to=err)
        return ExitCode.INTERRUPTED
    except (StorageUnavailableError, SchemaMismatchError, WorkerDiedError) as error:
        progress.close()
        say(one_line(str(error)), to=err)
        return ExitCode.SERVICE
    finally:
        progress.close()
    is_vault_checked = evidence.vault is not None
    if as_json:
        print_document(verified_document(report, listed_max, is_vault_checked=is_vault_checked), out)
    else:
        _print_report(report, listed_max, out, is_vault_checked=is_vault_checked)
    return ExitCode.FINDINGS if report.wrong else ExitCode.OK


def verified_document(report: VerificationReport, listed_max: int, *, is_vault_checked: bool) -> dict[str, Any]:
    """Return the report as --json prints it."""
    return {
        "at": report.at,
        "position": report.rows.position,
        "events": report.rows.events,
        "seconds": round(report.rows.seconds, 3),
        "wrong": report.wrong,
        "vault_checked": is_vault_checked,
        "counts": report.rows.counts,
        "rules": dict(report.broken),
        "differences": [difference_document(row) for row in report.rows.listed],
        "findings": [finding._asdict() for finding in report.findings[:listed_max]],
    }


def _print_report(report: VerificationReport, listed_max: int, out: TextIO, *, is_vault_checked: bool) -> None:
    for row in report.rows.listed:
        say(*difference_lines(row), to=out)
    say(*(_finding_text(finding) for finding in report.findings[:listed_max]), to=out)
    rows = report.rows
    say(f"{rows.events} events up to position {rows.position} in {rows.seconds:.1f} s", to=out)
    if not is_vault_checked:
        say("the rows of the vault were not checked: LEDGER_PEPPERS and LEDGER_MASTER_KEYS are not set", to=out)
    if not report.wrong:
        say("every row matches the event log, and every rule holds", to=out)
        return
    say(f"{rows.differing} rows differ, {report.broken.total()} events break a rule; nothing was changed", to=out)
    if rows.differing:
        say("repair the rows with `ledger rebuild --apply`", to=out)


def _finding_text(finding: RuleViolation) -> str:
    subject = f", reservation {finding.reservation_id}" if finding.reservation_id else ""
    detail = f": {finding.detail}" if finding.detail else ""
    if finding.rule == VAULT_ROWS:
        return f"{finding.rule}: broken by row {finding.stream} of {finding.type}{detail}"
    position = f"version {finding.version} of {finding.stream}, position {finding.position}"
    return f"{finding.rule}: broken by {finding.type}, {position}{subject}{detail}"
