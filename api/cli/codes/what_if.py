"""`ledger what-if`: what a redeem request, or an action of staff, would have led to at a past time."""

from typing import Annotated

import typer

from api.cli.arguments import parse_email, parse_reservation_id, parse_time_option
from api.cli.command_index import READS_ONLY, leaves_no_record
from api.cli.context import Session
from api.cli.printing import JsonFlag, format_timestamp, print_json
from api.use_cases.past_states.what_if import WhatIf, WhatIfAction, ask_action, ask_redeem, find_past
from projections.read_models.past_states import PastStateReader
from projections.terminal.text import say


def register(app: typer.Typer) -> None:
    """Register the command."""
    app.command("what-if")(what_if)


@leaves_no_record(READS_ONLY)
def what_if(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="Code or code ID.")],
    email: Annotated[str | None, typer.Option(help="Email address of a redeem request.")] = None,
    reservation: Annotated[str | None, typer.Option(help="Reservation ID of an action of staff.")] = None,
    action: Annotated[WhatIfAction | None, typer.Option(help="That action.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Ask about this time (ISO 8601, UTC by default).")] = None,
    json: JsonFlag = False,
) -> int:
    """Preview a redeem request or an action as of a past time.

    The rules decide on the state of that time. The output lists the events that decide the answer.

    Example: `ledger what-if ABCD-EFGH-JKMN --email li.wei@example.com --as-of 2026-11-24T12:00`
    """
    as_of_time = None if as_of is None else parse_time_option(as_of, "--as-of")
    address = None if email is None else parse_email(email)
    reservation_id = None if reservation is None else parse_reservation_id(reservation)
    session = Session(context.obj)
    with session.open_ledger() as ledger:
        states = PastStateReader(ledger.storage)
        past = find_past(states, ledger.find_code_id(code), as_of_time or ledger.now())
        if address is not None and reservation_id is None and action is None:
            seen = ask_redeem(ledger.services, states, past, address, ledger.language)
        elif address is None and reservation_id is not None and action is not None:
            seen = ask_action(ledger.services, states, past, reservation_id, action, ledger.language)
        else:
            raise typer.BadParameter("name either --email, or --reservation and --action")
    if json:
        print_json(seen.answer.model_dump())
    else:
        _print_answer(seen)
    return 0


def _print_answer(seen: WhatIf) -> None:
    answer = seen.answer
    say(f"{answer.would}: {answer.detail}")
    for crossed in answer.crossed:
        say(f"crosses {crossed.threshold} of the {'code' if crossed.campaign_id is None else 'campaign'}")
    versions = [f"#{version}" for version in answer.because]
    if (campaign := seen.campaign_evidence.campaign) is not None:
        versions += [f"campaign {campaign.terms.name} #{version}" for version in answer.because_of_campaign]
    rests, left_out = ", ".join(versions) or "no event", seen.evidence_left_out + seen.campaign_evidence.left_out
    more = f" and {left_out} more" if left_out else ""
    say(f"as of {format_timestamp(answer.as_of)} (event #{answer.version}); because of {rests}{more}")
