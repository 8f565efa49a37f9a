"""`ledger bounces take`: take in a report about an email, as a mail server pipes it."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from api.cli.context import Session
from api.cli.exit_status import SERVICES, report_exception
from api.cli.printing import JsonFlag, print_json_line
from api.use_cases.mail_reports import open_intake
from domain.report_intake import RECORDED, MailReport, TakenReport
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error
from workers.mail_reports.report_parser import REPORT_BYTES_MAX, parse_report
from workers.mail_reports.take_reports import NO_REPORT

STDIN = "-"
_SUBJECTS = {"hand_out": "code_id", "offer": "place_id"}
_MEANINGS = {
    "known": "it was recorded before, or changes nothing",
    NO_REPORT: "the message reports no bounce, delay or complaint",
    "no_token": "it has no valid token of an email of this ledger, or the token has expired",
    "unknown": "this ledger has no such email, or the data of its recipient was erased",
    "not_sent": "that email was never sent",
}


def register(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(rich_markup_mode=None, help="Record reports about emails.", no_args_is_help=True)
    group.command("take")(take)
    app.add_typer(group, name="bounces")


def take(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="File with the message; - reads it from stdin.")] = STDIN,
    json: JsonFlag = False,
) -> int:
    """Record the bounce, delay or complaint that a message reports.

    A mail server pipes each message to this command, which answers 0 to all that it has read, so that no report is
    answered by another one; while the database is unavailable it answers 75, and the server tries again later.

    Example: `ledger bounces take < report.eml`
    """
    report = parse_report(_read(file))
    if report is None:
        return _print(NO_REPORT, None, as_json=json)
    return _record(Session(context.obj), report, as_json=json)


def _record(session: Session, report: MailReport, *, as_json: bool) -> int:
    try:
        with session.open_ledger() as ledger:
            result = open_intake(ledger.services, ledger.settings).take(report, ledger.create_context())
    except (*SERVICES, ValidationError) as error:
        report_exception(error)
        return ExitCode.TRY_LATER
    return _print(result.outcome, result, as_json=as_json)


def _read(file: str) -> bytes:
    """Return the beginning of a message; what comes after it on stdin is read too, so that the sender may finish."""
    if file != STDIN:
        with Path(file).open("rb") as source:
            return source.read(REPORT_BYTES_MAX)
    content = sys.stdin.buffer.read(REPORT_BYTES_MAX)
    while sys.stdin.buffer.read(REPORT_BYTES_MAX):
        pass
    return content


def _print(outcome: str, result: TakenReport | None, *, as_json: bool) -> int:
    is_taken, ref = outcome == RECORDED, None if result is None else result.ref
    if as_json:
        about = {} if ref is None else {_SUBJECTS.get(ref.kind, "reservation_id"): ref.subject_id}
        event = {} if result is None or result.event is None else {"event": result.event}
        print_json_line({"taken": is_taken, **about, **event, **({} if is_taken else {"why": outcome})})
    elif is_taken and result is not None:
        say(f"recorded {result.event}")
    else:
        say_error(f"nothing was recorded: {_MEANINGS[outcome]}")
    return ExitCode.OK
