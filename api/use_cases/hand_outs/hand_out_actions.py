"""What staff and integrators do about hand-outs, for API, pages and command line alike."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import structs

from api.errors import ApplicationError
from api.schemas.hand_outs import HandOutOrder, MailingChange
from api.use_cases.campaign_actions import apply_defaults
from api.use_cases.services import Caller, LedgerServices
from domain.commands.hand_out.hand_out_mail import RecordHandOutReport, ResendHandOut
from domain.commands.hand_out.manage_hand_out import (
    ChangeHandOut,
    CreateHandOut,
    EndHandOut,
    HandOutCommand,
    PauseHandOut,
    ResumeHandOut,
)
from domain.errors import (
    CampaignHasEnded,
    HandOutConflict,
    HandOutMailConflict,
    NamedCampaignUnknown,
    NoSuchHandOut,
    Refusal,
)
from domain.events.code_terms import TERM_NAMES, CodeTerms
from domain.model.campaign import Campaign
from domain.model.hand_out import HandOutText, Mailing
from domain.ports import Language
from domain.values.identifiers import EmailAddress
from domain.values.text_variables import FILLED_VARIABLES, find_variables
from projections.hand_outs.hand_out_queue import HandOutQueue
from projections.hand_outs.hand_out_reader import HandOutDetails, HandOutProgress, HandOutReader, Person, PersonState
from projections.read_models.campaign_list import CampaignReader
from projections.read_models.pagination import ListCursor, ListOrder
from projections.repositories.audit_log import AuditRecorder

COUNTED_MAX: Final = 50_000
"""Most recipients whose states are counted for a page of hand-outs: of 200 lists of 10,000, a page took two minutes
without this bound and 2 s with it, on a machine that was busy (2026-11-28)."""


class ProgressPage(NamedTuple):
    """One page of hand-outs, and after which one the following page begins; None on the last page."""

    rows: list[HandOutProgress]
    next: ListCursor | None


class PeoplePage(NamedTuple):
    """One page of recipients, and the number after which the following page begins; None on the last page."""

    rows: list[Person]
    next: int | None


class HandedOut(NamedTuple):
    """What one recipient gets in one campaign: the hand-out, its campaign, and their row of its list."""

    details: HandOutDetails
    campaign: Campaign
    person: Person


class MissingValue(NamedTuple):
    """A variable of the texts without a value for some of the queued recipients of a language.

    Attributes:
        people: How many they are.
        is_unknown: Whether no recipient of the language has the variable, not even empty: its name may be mistyped.
    """

    name: str
    language: Language
    people: int
    is_unknown: bool


def create_hand_out(
    services: LedgerServices, caller: Caller, campaign_id: UUID, order: HandOutOrder, hand_out_id: UUID | None = None
) -> HandOutProgress:
    """Create a hand-out without recipients. With the same `hand_out_id` again nothing is created.

    Raises:
        ApplicationError: There is no such campaign, it has ended, or the order is not valid.
        StorageUnavailableError: The database is unavailable.
    """
    campaign = CampaignReader(services.storage).find_campaign_state(campaign_id)
    if campaign is None:
        raise ApplicationError.from_refusal(NamedCampaignUnknown())
    reader = HandOutReader(services.storage)
    is_new = hand_out_id is None or reader.find_hand_out(hand_out_id) is None
    if is_new and campaign.has_ended(services.now()):  # at its end, too: no list could be added
        raise ApplicationError.from_refusal(CampaignHasEnded(why="issue"))
    command = CreateHandOut(
        context=services.context(caller),
        campaign_id=campaign_id,
        hand_out_id=hand_out_id or services.new_id(),
        name=order.name,
        terms=_find_terms(order, campaign),
        bound=order.bound,
        existing_codes=order.existing_codes,
        is_draft=order.is_draft,
        valid_for_days=order.valid_for_days,
        per_minute=order.per_minute,
        texts=order.texts,
    )
    return _execute(services, command)


def _find_terms(order: HandOutOrder, campaign: Campaign) -> CodeTerms:
    """Return the terms of a new hand-out: no defaults but the group if its codes exist."""
    terms = apply_defaults(order.terms, campaign, order.named)
    if not order.existing_codes:
        return terms
    usual = {name: None for name in TERM_NAMES if name not in {"group", *order.named}}
    return structs.replace(terms, **usual)


def change_hand_out(
    services: LedgerServices,
    caller: Caller,
    hand_out_id: UUID,
    change: MailingChange,
    find_expected: Callable[[Mailing], Mailing | None] = lambda _: None,
) -> HandOutProgress:
    """Change the rate or the texts of a hand-out's emails. Emails that workers begin to send afterwards have them.

    `find_expected` returns from the present ones which ones the change is based on; None for any.

    Raises:
        ApplicationError: There is no such hand-out, rate or texts are not the expected ones, no queued recipient has
            a variable of a new text, or the rate is not valid or that of an ended hand-out.
    """
    before = find_progress(services, hand_out_id)
    _check_variables(services, hand_out_id, _list_new_texts(change, before.texts))
    command = ChangeHandOut(
        context=services.context(caller),
        campaign_id=before.campaign.campaign_id,
        hand_out_id=hand_out_id,
        changes_rate=change.changes_rate,
        per_minute=change.per_minute,
        texts=change.texts,
        expected=find_expected(before.mailing),
    )
    return _execute(services, command)


def pause_hand_out(
    services: LedgerServices, caller: Caller, hand_out_id: UUID, *, note: str | None = None
) -> HandOutProgress:
    """Hand no further code out for now. `note` is the reason."""
    return _execute(services, PauseHandOut(**_name(services, caller, hand_out_id, note)))


def resume_hand_out(
    services: LedgerServices,
    caller: Caller,
    hand_out_id: UUID,
    *,
    starts_at: datetime | None = None,
    note: str | None = None,
) -> HandOutProgress:
    """Hand codes out again, or start a draft: at once, or at a time.

    Raises:
        ApplicationError: There is no such hand-out, it has ended, no recipient has a variable of its text,
            or the start is past, after the end of its campaign, or that of a running hand-out.
    """
    _check_variables(services, hand_out_id)
    return _execute(services, ResumeHandOut(**_name(services, caller, hand_out_id, note), starts_at=starts_at))


def end_hand_out(
    services: LedgerServices, caller: Caller, hand_out_id: UUID, *, note: str | None = None
) -> HandOutProgress:
    """Hand no further code out, permanently. `note` is the reason."""
    return _execute(services, EndHandOut(**_name(services, caller, hand_out_id, note)))


def find_missing_values(
    services: LedgerServices, hand_out_id: UUID, texts: Mapping[Language, HandOutText] | None = None
) -> list[MissingValue]:
    """Return the variables of texts that stay empty in emails that are queued.

    Args:
        services: The ledger.
        hand_out_id: The hand-out.
        texts: By language; None for the hand-out's own ones.
    """
    reader = HandOutReader(services.storage)
    if texts is None:
        (texts,) = reader.find_texts([hand_out_id])
    names = {
        language: {*find_variables(text.subject), *find_variables(text.body)} - FILLED_VARIABLES
        for language, text in texts.items()
    }
    return [
        MissingValue(name, language, people, is_unknown)
        for (language, name), (people, is_unknown) in sorted(reader.count_missing_values(hand_out_id, names).items())
    ]


def find_progress(services: LedgerServices, hand_out_id: UUID) -> HandOutProgress:
    """Return a hand-out with its counts.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    reader, now = HandOutReader(services.storage), services.now()
    details, campaign = find_details(services, hand_out_id)
    (counts,) = reader.count_people([details], now, is_campaign_over=campaign.has_ended(now))
    (texts,) = reader.find_texts([hand_out_id])
    return HandOutProgress(details, campaign, *counts, texts)


def list_progress(
    services: LedgerServices, campaign_id: UUID, place: ListCursor, limit: int, order: ListOrder = "oldest"
) -> ProgressPage:
    """Return one page of the hand-outs of a campaign by the time of creation, each with its counts.

    A page has fewer than `limit` if their lists have more than `COUNTED_MAX` recipients together, but at least one.

    Raises:
        ApplicationError: CAMPAIGN_UNKNOWN.
    """
    campaign = CampaignReader(services.storage).find_campaign_state(campaign_id)
    if campaign is None:
        raise ApplicationError.from_refusal(NamedCampaignUnknown())
    reader, now = HandOutReader(services.storage), services.now()
    hand_outs = reader.list_hand_outs(campaign_id, place, limit + 1, order)
    page = hand_outs[: min(limit, max(1, reader.count_listed(hand_outs, COUNTED_MAX)))]
    counts = reader.count_people(page, now, is_campaign_over=campaign.has_ended(now))
    texts = reader.find_texts([details.hand_out.hand_out_id for details in page])
    rows = [
        HandOutProgress(details, campaign, *counted, own)
        for details, counted, own in zip(page, counts, texts, strict=True)
    ]
    last = page[-1] if len(page) < len(hand_outs) else None
    return ProgressPage(rows, None if last is None else (last.created_at, last.hand_out.hand_out_id))


def list_people(
    services: LedgerServices, hand_out_id: UUID, after: int, limit: int, state: PersonState | None = None
) -> list[Person]:
    """Return one page of recipients in a state, or in any, in the order of the list, after a number.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    now = services.now()
    details, campaign = find_details(services, hand_out_id)
    return HandOutReader(services.storage).list_people(
        details, after, limit, now, is_campaign_over=campaign.has_ended(now), state=state
    )


def page_people(
    services: LedgerServices, hand_out_id: UUID, state: PersonState | None, after: int, limit: int
) -> PeoplePage:
    """Return one page of recipients in a state, or in any, in the order of the list, and where the next one begins.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    people = list_people(services, hand_out_id, after, limit + 1, state)
    return PeoplePage(people[:limit], people[limit - 1].number if len(people) > limit else None)


def find_person_by_address(services: LedgerServices, hand_out_id: UUID, address: EmailAddress) -> Person | None:
    """Return the recipient with an email address; None if the list does not have it.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    find_details(services, hand_out_id)
    code_id = HandOutReader(services.storage).find_code_of_address(hand_out_id, address)
    return None if code_id is None else find_person_of_code(services, hand_out_id, code_id)


def find_person_of_code(services: LedgerServices, hand_out_id: UUID, code_id: UUID) -> Person | None:
    """Return the recipient of a code; None if the list does not have them.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND.
    """
    now = services.now()
    details, campaign = find_details(services, hand_out_id)
    return HandOutReader(services.storage).find_person(details, code_id, now, is_campaign_over=campaign.has_ended(now))


def find_person(services: LedgerServices, hand_out_id: UUID, code_id: UUID) -> Person:
    """Return one recipient by the id of the code.

    Raises:
        ApplicationError: HAND_OUT_NOT_FOUND, also if the list does not have them.
    """
    person = find_person_of_code(services, hand_out_id, code_id)
    if person is None:
        raise ApplicationError.from_refusal(NoSuchHandOut())
    return person


def list_handed_out(services: LedgerServices, recipient_id: UUID, before: int, limit: int) -> list[HandedOut]:
    """Return one page of what a recipient gets in all campaigns, newest first, before a number of a list."""
    places = HandOutReader(services.storage).list_places(recipient_id, before, limit)
    return [_find_handed_out(services, place.hand_out_id, place.code_id) for place in places]


def _find_handed_out(services: LedgerServices, hand_out_id: UUID, code_id: UUID) -> HandedOut:
    return HandedOut(*find_details(services, hand_out_id), find_person(services, hand_out_id, code_id))


def resend_to_person(
    services: LedgerServices,
    caller: Caller,
    hand_out_id: UUID,
    code_id: UUID,
    *,
    seen_mail: int | None = None,
    note: str = "",
) -> Person:
    """Have the code of one recipient sent again, with the same link. One without an email yet gets it now.

    `seen_mail`: how many emails the page showed that it was requested on; None of a request without a page. `note`: the
    reason, for the audit log.

    Raises:
        ApplicationError: The hand-out has no such recipient, they opted out or are not written to, it has not
            started, it or its campaign ended before they got a code, no recipient has a variable of its text, the
            code was revoked, or there were too many emails, or one since the page was loaded.
    """
    person, queue = find_person(services, hand_out_id, code_id), HandOutQueue(services.storage)
    if seen_mail is not None and person.mail != seen_mail:
        raise ApplicationError.from_refusal(HandOutMailConflict("sent_since"))
    if person.has_opted_out:
        raise ApplicationError.from_refusal(HandOutMailConflict("opted_out"))
    if person.state == "suppressed":
        raise ApplicationError.from_refusal(HandOutMailConflict("suppressed"))
    if not person.mail:
        _check_issues_codes(services, hand_out_id)

        def request_first(record: AuditRecorder) -> None:
            queue.ask(hand_out_id, code_id, services.now())
            record("requested_hand_out_email", code_id, note)

        services.open_audit_log(caller).perform(request_first)
    else:
        if note:  # the event says who asked, and has no reason; before it, so that no failure loses the reason
            services.open_audit_log(caller).record("requested_hand_out_email", code_id, note)
        if not services.execute(ResendHandOut(context=services.context(caller), code_id=code_id)).changed:
            queue.ask(hand_out_id, code_id, services.now())
    return find_person(services, hand_out_id, code_id)


def _check_issues_codes(services: LedgerServices, hand_out_id: UUID) -> None:
    details, campaign = find_details(services, hand_out_id)
    if campaign.has_ended(services.now()):
        raise ApplicationError.from_refusal(CampaignHasEnded(why="issue"))
    if details.hand_out.state == "ended":
        raise ApplicationError.from_refusal(HandOutConflict("ended"))
    if details.hand_out.state_at(services.now()) in {"draft", "scheduled"}:
        raise ApplicationError.from_refusal(HandOutConflict("not_started"))
    _check_variables(services, hand_out_id)


def record_bounce(
    services: LedgerServices, caller: Caller, hand_out_id: UUID, code_id: UUID, note: str | None = None
) -> Person:
    """Record that the newest email of one recipient bounced, with what staff write about it.

    Raises:
        ApplicationError: The hand-out has no such recipient, or no email of theirs was sent.
    """
    if not find_person(services, hand_out_id, code_id).mail:
        raise ApplicationError.from_refusal(HandOutMailConflict("not_sent"))
    services.execute(RecordHandOutReport(context=services.context(caller), code_id=code_id, text=services.note(note)))
    return find_person(services, hand_out_id, code_id)


def find_details(
    services: LedgerServices, hand_out_id: UUID, if_unknown: type[Refusal] = NoSuchHandOut
) -> tuple[HandOutDetails, Campaign]:
    """Return a hand-out and its campaign.

    Raises:
        ApplicationError: There is no such hand-out: `if_unknown`.
    """
    details = HandOutReader(services.storage).find_hand_out(hand_out_id)
    campaign = (
        None if details is None else CampaignReader(services.storage).find_campaign_state(details.hand_out.campaign_id)
    )
    if details is None or campaign is None:
        raise ApplicationError.from_refusal(if_unknown())
    return details, campaign


def _list_new_texts(change: MailingChange, before: Mapping[Language, HandOutText]) -> dict[Language, HandOutText]:
    """Return the subjects and texts that a change replaces with other ones; empty where it does not."""
    return {
        language: HandOutText(
            *(
                new if new and new != old else ""
                for new, old in zip(text, before.get(language, HandOutText()), strict=True)
            )
        )
        for language, text in change.texts.items()
    }


def _check_variables(
    services: LedgerServices, hand_out_id: UUID, texts: Mapping[Language, HandOutText] | None = None
) -> None:
    """Check that some queued recipient has each variable of texts; None for the hand-out's own ones.

    Raises:
        ApplicationError: HAND_OUT_CONFLICT, for a variable that is mistyped or that the list does not have.
    """
    if unknown := {each.name for each in find_missing_values(services, hand_out_id, texts) if each.is_unknown}:
        raise ApplicationError.from_refusal(HandOutConflict.of_unknown_variables(unknown))


def _name(services: LedgerServices, caller: Caller, hand_out_id: UUID, note: str | None) -> dict[str, Any]:
    """Return the fields that commands about an existing hand-out share."""
    details, _ = find_details(services, hand_out_id)
    return {
        "context": services.context(caller),
        "campaign_id": details.hand_out.campaign_id,
        "hand_out_id": hand_out_id,
        "note": services.note(note),
    }


def _execute(services: LedgerServices, command: HandOutCommand) -> HandOutProgress:
    result = services.storage.ledger.execute_one(command)
    if isinstance(result, Refusal):
        raise ApplicationError.from_refusal(result)
    return find_progress(services, command.hand_out_id)
