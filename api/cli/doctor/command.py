"""`ledger doctor`: all health checks, each with its error and its remedy."""

from collections.abc import Iterator

import typer
from pydantic import ValidationError

from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import Session, describe_settings_error
from api.cli.doctor.check_result import CheckResult
from api.cli.doctor.database import BEHIND_DATABASE, check_database, check_secrets_file, skip_checks
from api.cli.doctor.deployment import Deployment, describe_unknown_deployment, find_deployment
from api.cli.doctor.standby import check_standby
from api.cli.embedded.secrets_file import FILE as SECRETS
from api.cli.embedded.state_file import read_stack_state
from api.cli.printing import JsonFlag, print_json
from projections.config.unknown_settings import find_ignored_settings
from projections.database.errors import StorageUnavailableError
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, styled, table
from projections.terminal.text import say

STYLES = {"ok": "green", "wrong": "bold red", "skipped": "yellow", "reminder": "yellow"}
EVERYTHING = ("database", *BEHIND_DATABASE, "api", "broker", "worker", "beat", "tasks", "mail server")


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


@leaves_no_record(READS_ONLY)
def doctor(context: typer.Context, json: JsonFlag = False) -> int:
    """Check everything that redeeming and sending need.

    Exit code 1: a check found an error. Reminders are not errors.
    """
    session = Session(context.obj)
    deployment = find_deployment(is_embedded=read_stack_state(session.data_dir) is not None)
    findings = [deployment.localize_result(finding) for finding in _run_checks(session, deployment)]
    is_well = all(finding.status != "wrong" for finding in findings)
    if json:
        print_json({"ok": is_well, "checks": [finding._asdict() for finding in findings]})
    else:
        _print_table(findings)
        wrong = sum(finding.status == "wrong" for finding in findings)
        reminders = sum(finding.status == "reminder" for finding in findings)
        summary = f"all checks passed, with {reminders} reminder(s)" if reminders else "all checks passed"
        say(summary if is_well else f"{wrong} of {len(findings)} checks found an error")
    return 0 if is_well else ExitCode.FINDINGS


def _run_checks(session: Session, deployment: Deployment) -> Iterator[CheckResult]:
    from api.cli.doctor import components  # noqa: PLC0415 - the broker's client: no other command needs it

    try:
        settings = session.load_settings()
        components.check_settings()
    except StorageUnavailableError as error:
        yield CheckResult(
            "settings", "wrong", str(error), "start it, or name another folder with `ledger --data-dir DIR doctor`"
        )
        yield from skip_checks(EVERYTHING, "the URLs of the services are unknown")
        return
    except ValidationError as error:
        remedy = "set the variables that the message names"
        yield CheckResult("settings", "wrong", describe_settings_error(error), remedy)
        yield from skip_checks(EVERYTHING, "the settings are not valid")
        return
    ignored = [*find_ignored_settings(session.data_dir / SECRETS), *describe_unknown_deployment()]
    if sentences := "; ".join(ignored):
        yield CheckResult("settings", "reminder", sentences, "correct it, or unset it; it has no effect")
    state = read_stack_state(session.data_dir)
    if session.was_killed():
        sentence = f"the `ledger up` of {session.data_dir} was killed"
        yield CheckResult("stack", "wrong", sentence, "start it again with `ledger up`; no data was lost")
    yield check_secrets_file(session.data_dir)
    yield from check_database(settings, deployment)
    yield from check_standby(settings)
    yield components.check_api(state["api"] if state else None)
    yield from components.check_broker(settings.redis_url.get_secret_value(), deployment)
    yield components.check_mail_server(settings, state)
    yield from components.check_identity_provider(settings)


def _print_table(findings: list[CheckResult]) -> None:
    listed = table("check", "state", "found", "what to do", fixed=("check", "state"))
    for finding in findings:
        state = styled(finding.status, STYLES[finding.status])
        listed.add_row(finding.name, state, finding.found, finding.remedy)
    show(listed)
