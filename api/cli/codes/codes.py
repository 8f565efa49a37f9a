"""`ledger issue`, `history`, `refund`, `reset-failed`: codes and their reservations."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer
from msgspec import structs

from api.cli.arguments import AccessChoice, number_parser, parse_campaign_id, parse_reservation_id, parse_valid_for
from api.cli.context import Session
from api.cli.printing import JsonFlag, print_json
from api.cli.progress import CommandProgress
from api.cli.term_options import NamedTerms, NoNewGroups, may_name_group, with_term_options
from api.use_cases import reservation_actions
from api.use_cases.campaign_actions import with_defaults_of_campaign
from api.use_cases.code_history import history_of
from api.use_cases.issue_codes import BufferedRandom, CodeTemplate, IssuedText, iter_issued, store_note
from domain.events.code_terms import SINGLE_USE
from domain.values.identifiers import format_code
from domain.values.number_bounds import Bounds
from projections.terminal.exit_codes import ExitCode
from projections.terminal.text import say, say_error, write_document
from projections.vault.random_source import RANDOM

FOLLOW_S = 0.5
PROGRESS_FROM = 5_000
_PREFIX = re.compile(r"[A-Za-z0-9]{0,12}")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(issue)
    app.command()(refund)
    app.command("reset-failed")(reset_failed)


@with_term_options()
def issue(  # noqa: PLR0913, PLR0917 - Typer reads the options from the signature
    context: typer.Context,
    terms: NamedTerms,
    count: Annotated[
        int, typer.Option(parser=number_parser(Bounds(1, 1_000_000)), help="Number of codes, 1 to 1,000,000.")
    ] = 1,
    open_code: Annotated[bool, typer.Option("--open", help="Do not bind the code to its first recipient.")] = False,
    prefix: Annotated[str, typer.Option(help="Prefix of every code: up to 12 letters A to Z and digits.")] = "",
    campaign: Annotated[str | None, typer.Option(help="ID of the campaign that the codes belong to.")] = None,
    valid_for: Annotated[
        int | None, typer.Option(help="Time from the issue to the end of a code, as P7D.", parser=parse_valid_for)
    ] = None,
    note: Annotated[str, typer.Option(help="Note in the history of each code; stored encrypted in the vault.")] = "",
    no_new_groups: NoNewGroups = False,
    json: JsonFlag = False,
) -> int:
    """Issue codes and print them.

    The ledger stores the codes encrypted. To print them again, use `ledger export codes`.

    Example: `ledger issue --count 10 --max-uses 5 --expires-at 2027-01-31`
    """
    if not _PREFIX.fullmatch(prefix):
        raise typer.BadParameter("--prefix must be up to 12 letters A to Z and digits")
    code_terms = structs.replace(SINGLE_USE, **terms)
    campaign_id = None if campaign is None else parse_campaign_id(campaign, "--campaign")
    session = Session(context.obj)
    steps = CommandProgress("issuing", count, quiet=json or count < PROGRESS_FROM, prints_result=True)
    with session.open_ledger() as ledger, steps:
        if not may_name_group(ledger, code_terms.group, campaign_id, no_new_groups=no_new_groups):
            return ExitCode.REFUSED
        if campaign_id is not None:
            code_terms = with_defaults_of_campaign(ledger.storage, code_terms, campaign_id, terms)
        _warn_of_past_end(code_terms.expires_at, ledger.now())
        note_id = store_note(ledger.storage, note, uuid4())
        template = CodeTemplate(
            terms=code_terms,
            bound=not open_code,
            note_id=note_id,
            campaign_id=campaign_id,
            valid_for_days=valid_for,
        )
        batches = iter_issued(
            ledger.storage,
            template,
            count,
            ledger.create_context(),
            RANDOM.draw_uuid,
            BufferedRandom(),
            prefix=prefix.upper(),
        )
        try:
            (_print_json_codes if json else _print_codes)(batches, steps.more)
        except (OSError, KeyboardInterrupt):
            # The last batch is issued and perhaps unseen; an operator who issued it again would have it twice.
            say_error(
                "more codes may be issued than were printed: `ledger export codes --output FILE` lists the newest last"
            )
            raise
    return 0


def _warn_of_past_end(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        say_error(
            f"--expires-at {expires_at:%Y-%m-%dT%H:%M:%SZ} is in the past: these codes cannot be redeemed until you "
            "change it with `ledger terms`"
        )


def _print_codes(batches: Iterator[list[IssuedText]], progress: Callable[[int], None]) -> None:
    for batch in batches:
        say(*(code.text for code in batch))
        progress(len(batch))


def _print_json_codes(batches: Iterator[list[IssuedText]], progress: Callable[[int], None]) -> None:
    """Print one JSON list, batch by batch."""
    separator = "[\n"
    for batch in batches:
        lines = ",\n".join(f"  {orjson.dumps({'code': code.text, 'id': code.code_id}).decode()}" for code in batch)
        write_document(f"{separator}{lines}")
        separator = ",\n"
        progress(len(batch))
    write_document("\n]\n")


def refund(
    context: typer.Context,
    reservation: Annotated[str, typer.Argument(help="Reservation ID.")],
    note: Annotated[str, typer.Option(help="Reason; stored encrypted in the vault.")],
    revoke_access: AccessChoice = None,
    json: JsonFlag = False,
) -> int:
    """Refund one reservation.

    A sent invitation can be refunded, and a pending reservation unless a worker is sending it or one of its attempts
    has an unknown outcome (then use `ledger resolve`). Exit code 4: refused by a rule.

    Example: `ledger refund 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --note "wrong person" --revoke-access`
    """
    reservation_id = parse_reservation_id(reservation)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        result = reservation_actions.refund(
            ledger.services, ledger.caller(), reservation_id, revoke_access=revoke_access, note=note
        )
    if json:
        print_json({"reservation_id": reservation_id, "state": "refunded", "used_count": result.code.used})
    else:
        say(f"refunded; used {result.code.used}, reserved {result.code.reserved}")
    return 0


def reset_failed(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Code or code ID.")],
    json: JsonFlag = False,
) -> int:
    """Refund a code's stuck reservations.

    Skips reservations that are being sent, and those with an attempt whose outcome was unknown.
    """
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        code_id = ledger.find_code_id(code)
        before = history_of(ledger.reader, code_id, ledger.now(), ledger.language)
        if before is None:
            raise AssertionError("a code that was found has a history")
        text = format_code(ledger.reader.find_code_text(code_id) or str(code_id))
        used_before = before["used_count"] + before["reserved"]
        report: dict[str, Any] = {
            "code": text,
            "used_before": used_before,
            "sent": ledger.reader.count_sent(code_id),
            "max_uses": before["max_uses"],
        }
        refunds = reservation_actions.refund_pending_of_code(ledger.services, ledger.caller, code_id)
    report |= {
        "used_after": used_before - len(refunds.refunded),
        "refunded": refunds.refunded,
        "left": [{"reservation_id": left_id, "why": why} for left_id, why in refunds.not_refundable],
    }
    if json:
        print_json(report)
        return 0
    limit = "∞" if report["max_uses"] is None else report["max_uses"]
    say(f"代码：{text}", f"当前使用次数：{used_before}", f"实际成功邀请：{report['sent']}", f"最大使用次数：{limit}")
    say(*(f"  {left_id}: {why}" for left_id, why in refunds.not_refundable))
    say(f"已重置使用次数：{used_before} → {report['used_after']}" if refunds.refunded else "使用次数正确，无需修复")
    return 0
