"""`ledger campaign create|list|show|history|explain|waiting|remove|add|...`: limits that many codes share."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import typer

from api.cli.arguments import parse_campaign_id, parse_id, parse_time_option
from api.cli.command_index import READS_ONLY, CommandGroup, leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.limit_choices import say_limit_choices
from api.cli.printing import JsonFlag, NoteOption, format_timestamp, print_json
from api.cli.term_options import NamedTerms, with_term_options
from api.errors import ApplicationError
from api.i18n.catalogs import translator
from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.campaigns import view_of_campaign
from api.use_cases import campaign_actions, code_actions
from api.use_cases.past_states.campaign_history import explain_campaign, list_history
from api.use_cases.preview_limits import preview_limits, view_of_limit_choice
from api.use_cases.services import Caller, LedgerServices
from api.use_cases.waiting_lists.places import list_places
from api.use_cases.waiting_lists.places import remove as remove_place
from domain.errors import NoSuchCampaign
from domain.events.campaign import CampaignTerms, Counting
from domain.values.domain_display import describe_domains
from projections.hand_outs.hand_out_reader import HandOutReader
from projections.read_models.campaign_list import CampaignBalance, CampaignReader
from projections.read_models.code_list import CodeListReader
from projections.read_models.history_blocks import CAMPAIGNS
from projections.read_models.pagination import OLDEST, ListCursor, read_to_end
from projections.read_models.statements import HistoryReader
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show as show_table
from projections.terminal.tables import table
from projections.terminal.text import say, say_error

CampaignId = Annotated[str, typer.Argument(help="Campaign ID.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Show the campaign as of this time (ISO 8601, UTC by default).")
]
CampaignAction = Callable[[LedgerServices, Caller, UUID], CampaignBalance]
"""A use case with all its parameters but for who asks and what it is about."""


campaign = typer.Typer(cls=CommandGroup, help="Manage campaigns: limits that many codes share.")


def register(app: typer.Typer) -> None:
    """Register the commands."""
    campaign.command()(create)
    campaign.command("list")(list_campaigns)
    for command in (show, history, explain, waiting, remove, add, pause, resume, end, terms):
        campaign.command()(command)
    app.add_typer(campaign, name="campaign")


@with_term_options(has_defaults=False, formats=CAMPAIGN_TERMS)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name for staff; events store it permanently.")],
    terms: NamedTerms,
    json: JsonFlag = False,
) -> int:
    """Create a campaign and print its ID.

    Codes join it when they are issued or imported, or later by `ledger campaign add`. Limits can be added later by
    `ledger campaign terms`.

    Example: `ledger campaign create Autumn --max-uses 500 --max-per-person 1`
    """
    with Session(context.obj).open_ledger() as ledger:
        chosen = {**campaign_actions.default_terms(ledger.settings), **terms}
        named: dict[str, Any] = {term.name: chosen.get(term.name) for term in CAMPAIGN_TERMS}
        created = campaign_actions.create_campaign(ledger.services, ledger.caller(), CampaignTerms(name=name, **named))
        if json:
            print_json(_document(ledger, created))
        else:
            say(str(created.campaign.campaign_id))
    return 0


@leaves_no_record(READS_ONLY)
def list_campaigns(context: typer.Context, json: JsonFlag = False) -> int:
    """List campaigns, oldest first."""
    with Session(context.obj).open_ledger() as ledger:
        rows = read_to_end(CampaignReader(ledger.storage).list_campaigns, OLDEST, _cursor_of)
        campaigns = [_document(ledger, one) for one in rows]
    if json:
        print_json(campaigns)
        return 0
    shown = table("id", "state", "codes", "used", "reserved", "available", "name", fixed=("id", "state"))
    for one in campaigns:
        numbers = (str(one[name]) for name in ("codes", "used_count", "reserved"))
        shown.add_row(str(one["id"]), one["state"], *numbers, _available(one), one["name"])
    show_table(shown)
    return 0


@leaves_no_record(READS_ONLY)
def show(context: typer.Context, campaign: CampaignId, json: JsonFlag = False) -> int:
    """Show terms and balance of a campaign."""
    campaign_id = parse_campaign_id(campaign)
    with Session(context.obj).open_ledger() as ledger:
        balance = CampaignReader(ledger.storage).find_campaign(campaign_id)
        if balance is None:
            raise ApplicationError.from_refusal(NoSuchCampaign())
        document = _document(ledger, balance)
    if json:
        print_json(document)
        return 0
    say(f"name: {document['name']}", f"created: {format_timestamp(document['created_at'])} UTC")
    for term in CAMPAIGN_TERMS:
        value = getattr(balance.campaign.terms, term.name)
        text = describe_domains(value) if value is not None and term.kind == "domains" else term.text(value)
        say(f"{term.option.removeprefix('--')}: {term.none_word or '-' if value is None else text}")
    say(f"codes: {document['codes']}", _summary(document))
    return 0


@leaves_no_record(READS_ONLY)
def waiting(context: typer.Context, campaign: CampaignId, json: JsonFlag = False) -> int:
    """Show the waiting list of a campaign, in order."""
    campaign_id = parse_campaign_id(campaign)
    with Session(context.obj).open_ledger() as ledger:
        places = list_places(ledger.services, campaign_id)
    if json:
        print_json([place._asdict() for place in places])
        return 0
    shown = table("number", "email", "joined", "offered until", "place", fixed=("number", "place"))
    for place in places:
        until = "-" if place.offered_until is None else format_timestamp(place.offered_until)
        joined = format_timestamp(place.joined_at)
        shown.add_row(str(place.number), place.email or "-", joined, until, str(place.place_id))
    show_table(shown)
    return 0


def remove(
    context: typer.Context,
    campaign: CampaignId,
    place: Annotated[str, typer.Argument(help="ID of the place, as `ledger campaign waiting` shows it.")],
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Remove a person from the waiting list of a campaign.

    A use that was offered goes to the next person. The person gets no email, and can join again.
    """
    campaign_id = parse_campaign_id(campaign)
    place_id = parse_id(place, "place", "is not a place ID: `ledger campaign waiting` lists them")
    with Session(context.obj).open_ledger() as ledger:
        removed = remove_place(ledger.services, ledger.caller(), campaign_id, place_id, note)
    if json:
        print_json({"id": campaign_id, "place_id": place_id, "removed": removed})
    else:
        say("removed" if removed else "the place has already ended")
    return 0


@leaves_no_record(READS_ONLY)
def history(context: typer.Context, campaign: CampaignId, as_of: AsOf = None, json: JsonFlag = False) -> int:
    """Show every event of a campaign, with the uses after each.

    An event about a use names the end of the code and the reservation; --json also has the ID of the code.

    Example: `ledger campaign history 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --as-of 2026-11-24T12:00`
    """
    campaign_id, as_of_time = parse_campaign_id(campaign), parse_time_option(as_of, "--as-of") if as_of else None
    with Session(context.obj).open_ledger() as ledger:
        histories = HistoryReader(ledger.storage, CAMPAIGNS)
        lines = list(list_history(histories, HandOutReader(ledger.storage), campaign_id, ledger.language, as_of_time))
        if not lines:
            return _report_missing(as_of)
        code_ids = {line.code_id for line in lines if line.code_id is not None}
        texts = {} if json else CodeListReader(ledger.storage).find_texts(list(code_ids), clear=False)
    if json:
        print_json({"id": campaign_id, "events": [line.model_dump() for line in lines]})
        return 0
    number = ("uses", "right")
    rows = table("time (UTC)", "event", number, "code", "what happened", fixed=("time (UTC)", "uses", "code"))
    for line in lines:
        code = f"…{texts[line.code_id].suffix}" if line.code_id in texts else ""
        about = "" if line.reservation_id is None else f" (reservation {line.reservation_id})"
        rows.add_row(format_timestamp(line.at), line.type, str(line.occupied), code, line.sentence + about)
    show_table(rows)
    return 0


@leaves_no_record(READS_ONLY)
def explain(context: typer.Context, campaign: CampaignId, as_of: AsOf = None, json: JsonFlag = False) -> int:
    """Explain the balance of a campaign, use by use.

    Says what is used, reserved and available, over all codes, per person and per day. Names each use that counts, and
    the event that set the terms.
    """
    campaign_id, as_of_time = parse_campaign_id(campaign), parse_time_option(as_of, "--as-of") if as_of else None
    with Session(context.obj).open_ledger() as ledger:
        reader, translate = CampaignReader(ledger.storage), translator(ledger.language)
        histories = HistoryReader(ledger.storage, CAMPAIGNS)
        explanation = explain_campaign(histories, reader, campaign_id, ledger.now(), ledger.language, as_of=as_of_time)
        if explanation is None:
            return _report_missing(as_of)
    if json:
        print_json(explanation.model_dump())
        return 0
    say(
        explanation.sentence,
        *explanation.numbers,
        translate("explain.campaign.terms", version=explanation.terms_version, terms=explanation.terms),
    )
    say(*(f"#{reached.version}: {reached.sentence}" for reached in explanation.thresholds))
    if explanation.uses:
        rows = table("event", "time (UTC)", "state", "code", "reservation", fixed=("event", "time (UTC)", "state"))
        for use in explanation.uses:
            ids = str(use.code_id), str(use.reservation_id)
            rows.add_row(f"#{use.version}", format_timestamp(use.since), use.state, *ids)
        show_table(rows)
    if explanation.left_out:
        say(translate("explain.campaign.left_out", left_out=explanation.left_out))
    return 0


def add(
    context: typer.Context,
    campaign: CampaignId,
    codes: Annotated[list[str], typer.Argument(help="Codes or code IDs.")],
    json: JsonFlag = False,
) -> int:
    """Add existing codes to a campaign permanently.

    Uses that a code has already do not count in the campaign. A code with pending reservations, of another campaign or
    of another group is refused (exit code 4); the codes before it stay added. Codes of the campaign are skipped, so the
    command can be repeated.

    Example: `ledger campaign add 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 ABCD-EFGH-JKMN`
    """
    campaign_id, added = parse_campaign_id(campaign), 0
    with Session(context.obj).open_ledger() as ledger:
        code_ids = [ledger.find_code_id(code) for code in codes]
        for number, code_id in enumerate(code_ids, start=1):
            try:
                result = code_actions.join_campaign(ledger.services, ledger.caller(), code_id, campaign_id)
            except ApplicationError:
                say_error(f"code {number} of {len(codes)} was not added; {added} were added")
                raise
            added += result.changed
    if json:
        print_json({"id": campaign_id, "added": added, "already": len(codes) - added})
    else:
        say(f"{added} added, {len(codes) - added} already in the campaign")
    return 0


def pause(context: typer.Context, campaign: CampaignId, note: NoteOption = "", json: JsonFlag = False) -> int:
    """Pause a campaign: its codes accept no new reservations.

    Existing reservations continue. Use `ledger campaign resume` to undo it.
    """
    action = partial(campaign_actions.pause_campaign, note=note)
    return _perform(Session(context.obj), campaign, action, json=json)


def resume(context: typer.Context, campaign: CampaignId, note: NoteOption = "", json: JsonFlag = False) -> int:
    """Resume a paused campaign."""
    action = partial(campaign_actions.resume_campaign, note=note)
    return _perform(Session(context.obj), campaign, action, json=json)


def end(context: typer.Context, campaign: CampaignId, note: NoteOption = "", json: JsonFlag = False) -> int:
    """End a campaign permanently.

    Its codes accept no new reservations. Reserved uses are still sent.
    """
    action = partial(campaign_actions.end_campaign, note=note)
    return _perform(Session(context.obj), campaign, action, json=json)


@with_term_options(has_defaults=False, formats=CAMPAIGN_TERMS)
def terms(
    context: typer.Context,
    campaign: CampaignId,
    terms: NamedTerms,
    name: Annotated[str | None, typer.Option(help="New name for staff; events store it permanently.")] = None,
    counting: Annotated[
        Counting | None, typer.Option(help="Uses that the limits count: all, or from_now.", show_default=False)
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what each choice would mean, and change nothing.")
    ] = False,
    note: NoteOption = "",
    json: JsonFlag = False,
) -> int:
    """Change terms of a campaign.

    Terms without an option stay as they are. Limits can be added to a campaign without any: they count all uses that
    its codes have, or with `--counting from_now` those that are reserved from now on. A limit below the used and
    reserved uses is refused (exit code 4). With `--counting all` it is accepted: these uses stay, and new ones are
    refused.

    Example: `ledger campaign terms 0197a3c4-5b1e-7c3d-9f20-3c1d5e7a9b11 --max-uses 600 --ends-at never`
    """
    changes = dict(terms) if name is None else {"name": name, **terms}
    if preview:
        return _preview(Session(context.obj), campaign, changes, json=json)
    action = partial(campaign_actions.change_campaign, changes=changes, counting=counting, note=note)
    return _perform(Session(context.obj), campaign, action, json=json)


def _preview(session: Session, campaign: str, changes: dict[str, Any], *, json: bool) -> int:
    campaign_id = parse_campaign_id(campaign)
    with session.open_ledger() as ledger:
        choices = preview_limits(ledger.services, ledger.caller(), campaign_id, changes)
        views = [view_of_limit_choice(choice, ledger.now(), ledger.language) for choice in choices]
    if json:
        print_json({"id": campaign_id, "choices": [view.model_dump() for view in views]})
        return 0
    say_limit_choices(views)
    return 0


def _report_missing(as_of: str | None) -> int:
    if as_of:
        say_error(f"the campaign did not exist yet at {as_of}")
        return ExitCode.REFUSED
    raise ApplicationError.from_refusal(NoSuchCampaign())


def _perform(session: Session, campaign: str, action: CampaignAction, *, json: bool) -> int:
    campaign_id = parse_campaign_id(campaign)
    with session.open_ledger() as ledger:
        document = _document(ledger, action(ledger.services, ledger.caller(), campaign_id))
    if json:
        print_json(document)
    else:
        say(_summary(document))
    return 0


def _cursor_of(balance: CampaignBalance) -> ListCursor:
    return balance.campaign.created_at, balance.campaign.campaign_id


def _document(ledger: OpenLedger, balance: CampaignBalance) -> dict[str, Any]:
    return view_of_campaign(balance, ledger.now()).model_dump()


def _summary(document: dict[str, Any]) -> str:
    counts = f"used {document['used_count']}, reserved {document['reserved']}"
    today = "" if document["available_today"] is None else f", available today {document['available_today']}"
    return f"{document['state']}; {counts}, available {_available(document)}{today}"


def _available(document: dict[str, Any]) -> str:
    return "unlimited" if document["available"] is None else str(document["available"])
