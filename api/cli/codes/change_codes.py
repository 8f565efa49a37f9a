"""`ledger change-codes`: pause, resume, revoke or extend the codes of a batch, a group or a campaign together."""

from datetime import datetime
from typing import Annotated, cast, get_args
from uuid import UUID

import typer

from api.cli.arguments import parse_campaign_id, parse_id, parse_time_option
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, NoteOption, print_json
from api.cli.progress import CommandProgress
from api.use_cases.administration.batch_changes import CodeChange, change_at_once
from api.use_cases.administration.chosen_codes import CODES_MAX, ChosenCodes, collect_codes
from api.use_cases.approvals.requests import CodeConditions, RevokeCodes, RevokeLine
from projections.read_models.campaign_list import CampaignReader
from projections.repositories.issue_batches import ChangeKind
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error

SHOWN_MAX = 20


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("change-codes")(change_codes)


def _parse_kind(text: str) -> str:
    if text not in get_args(ChangeKind):
        raise typer.BadParameter(f"must be one of {', '.join(get_args(ChangeKind))}")
    return text


def change_codes(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="What to do: pause, resume, revoke or extend.", parser=_parse_kind)],
    codes: Annotated[str, typer.Argument(help="Which codes: batch:ID, group:NAME, campaign:ID or line:CODE_ID.")],
    expires_at: Annotated[
        str | None, typer.Option(help="New redemption deadline of an extension (ISO 8601, UTC by default).")
    ] = None,
    note: NoteOption = "",
    apply: Annotated[bool, typer.Option("--apply", help="Change them; otherwise only count them.")] = False,
    json: JsonFlag = False,
) -> int:
    """Pause, resume, revoke or extend many codes together.

    line:CODE_ID names the codes of a recipient of a hand-out by the first one. Without --apply, only counts the codes
    by state. Each code gets one event with the note, and the audit log gets one line. If the command is interrupted,
    run it again: what is changed does not change again. Exit code 4: some codes were refused, for example because they
    are revoked.

    Example: `ledger change-codes pause group:VIP --note "leaked" --apply`
    """
    if (action == "extend") != (expires_at is not None):
        raise typer.BadParameter("--expires-at is for extend, which needs it")
    end = None if expires_at is None else parse_time_option(expires_at, "--expires-at")
    source = _parse_source(codes)
    change = CodeChange(cast("ChangeKind", action), note, end)
    with Session(context.obj).open_ledger() as ledger:
        now = ledger.services.now()
        if end is not None and end <= now:
            raise typer.BadParameter("--expires-at must be in the future")
        chosen = _collect(ledger, source, now)
        if chosen is None:
            say_error(f"there is no {codes}")
            return ExitCode.REFUSED
        if chosen.are_too_many:
            say_error(f"more than {CODES_MAX:,} codes: choose fewer")
            return ExitCode.REFUSED
        if not apply:
            return _print_counts(chosen, action, json=json)
        with CommandProgress(f"{action}: codes", len(chosen.ids), prints_result=True) as steps:
            change_id, refused = change_at_once(
                ledger.services, ledger.caller(), source, change, chosen.ids, steps.more
            )
    return _print_result(change_id, len(chosen.ids), refused, action, json=json)


def _parse_source(text: str) -> RevokeCodes | RevokeLine:
    """Read which codes are meant; the request names them for each kind of change."""
    kind, _, name = text.partition(":")
    if kind == "batch":
        return RevokeCodes(CodeConditions(), parse_id(name, "batch", "is not a batch ID: its page shows it"))
    if kind == "line":
        return RevokeLine(parse_id(name, "line", "is not a code ID: `ledger hand-out recipients` shows it"))
    if kind == "campaign":
        return RevokeCodes(CodeConditions(campaign=parse_campaign_id(name)))
    if kind != "group" or not name:
        raise typer.BadParameter("name the codes as batch:ID, group:NAME, campaign:ID or line:CODE_ID")
    return RevokeCodes(CodeConditions(group=name))


def _collect(ledger: OpenLedger, source: RevokeCodes | RevokeLine, now: datetime) -> ChosenCodes | None:
    """Find the codes; None if there is no such batch, campaign or line."""
    campaign = source.conditions.campaign if isinstance(source, RevokeCodes) else None
    if campaign is not None and CampaignReader(ledger.storage).find_campaign_state(campaign) is None:
        return None
    return collect_codes(ledger.storage, source, now, now)


def _print_counts(chosen: ChosenCodes, action: str, *, json: bool) -> int:
    if json:
        states = {str(state): count for state, count in sorted(chosen.states.items())}
        print_json({"action": action, "applied": False, "codes": len(chosen.ids), "states": states})
        return 0
    for state, count in sorted(chosen.states.items()):
        say(f"{count:,} {state}")
    say(f"{len(chosen.ids):,} codes, {chosen.reserved:,} uses reserved")
    say(f"nothing was changed: add --apply to {action} them")
    return 0


def _print_result(change_id: UUID, count: int, refused: list[tuple[UUID, str]], action: str, *, json: bool) -> int:
    if json:
        faults = [{"code_id": code_id, "code": code} for code_id, code in refused]
        print_json({"action": action, "applied": True, "codes": count, "correlation_id": change_id, "refused": faults})
    else:
        for code_id, code in refused[:SHOWN_MAX]:
            say_error(f"{code_id}: {code}")
        if len(refused) > SHOWN_MAX:
            say_error(f"... {len(refused) - SHOWN_MAX:,} more: --json lists all")
        say(f"{action}: {count - len(refused):,} of {count:,} codes, correlation id {change_id}")
    return ExitCode.REFUSED if refused else 0
