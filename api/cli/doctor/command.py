"""`ledger doctor`: every check that an operator would make by hand, with what is wrong and what to do."""

import os
from collections.abc import Iterator

import typer
from pydantic import ValidationError

from api.cli.arguments import JsonFlag
from api.cli.context import Session, print_json, settings_sentence
from api.cli.doctor.database import BEHIND_DATABASE, database_findings, secrets_finding, skipped
from api.cli.doctor.finding import Finding
from api.cli.embedded.state_file import decode_snapshot
from projections.database.errors import StorageUnavailableError
from projections.terminal.tables import show, styled, table
from projections.terminal.text import say

EXIT_FOUND = 1
STYLES = {"ok": "green", "wrong": "bold red", "skipped": "yellow", "reminder": "yellow"}
EVERYTHING = ("database", *BEHIND_DATABASE, "api", "broker", "worker", "beat", "tasks", "mail server")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(context: typer.Context, json: JsonFlag = False) -> int:
    """Check everything that redeems and mails need; exit code 1 if something is wrong."""
    session: Session = context.obj
    # libpq breaks its sentences into lines.
    findings = [finding._replace(found=" ".join(finding.found.split())) for finding in _examine(session)]
    well = all(finding.status != "wrong" for finding in findings)
    if json:
        print_json({"ok": well, "checks": [finding._asdict() for finding in findings]})
    else:
        _print_table(findings)
        wrong = sum(finding.status == "wrong" for finding in findings)
        reminders = sum(finding.status == "reminder" for finding in findings)
        said = f"all is well, with {reminders} reminder(s)" if reminders else "all is well"
        say(said if well else f"{wrong} of {len(findings)} checks found something wrong")
    return 0 if well else EXIT_FOUND


def _examine(session: Session) -> Iterator[Finding]:
    from api.cli.doctor import services  # noqa: PLC0415 - the broker's client: no other command needs it
    from api.cli.unknown_settings import misspelt  # noqa: PLC0415 - it loads the settings of all components

    try:
        settings = session.settings()
        services.check_settings()
    except StorageUnavailableError as away:
        yield Finding("settings", "wrong", str(away), "`ledger --data-dir DIR doctor` names another folder")
        yield from skipped(EVERYTHING, "nobody says where the services are")
        return
    except ValidationError as bad:
        remedy = "set the variables that the message names"
        yield Finding("settings", "wrong", settings_sentence(bad), remedy)
        yield from skipped(EVERYTHING, "the settings can't be read")
        return
    if strange := "; ".join(misspelt(os.environ)):
        yield Finding("settings", "reminder", strange, "correct the name, or unset it: it does nothing")
    state = decode_snapshot(session.data_dir)
    if session.was_killed():
        found = f"the `ledger up` of {session.data_dir} was killed"
        yield Finding("stack", "wrong", found, "start it again: nothing is lost")
    yield secrets_finding(session.data_dir)
    yield from database_findings(settings)
    yield services.api_finding(state["api"] if state else None)
    yield from services.broker_findings(settings.redis_url.get_secret_value())
    yield services.mail_finding(settings, state)


def _print_table(findings: list[Finding]) -> None:
    listed = table("check", "state", "found", "what to do", fixed=("check", "state"))
    for finding in findings:
        state = styled(finding.status, STYLES[finding.status])
        listed.add_row(finding.name, state, finding.found, finding.remedy)
    show(listed)
