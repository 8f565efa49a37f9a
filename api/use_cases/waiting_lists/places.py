"""The waiting list of a campaign: a person joins it, looks at their place, takes an offered use, and leaves it."""

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from api.errors import ApplicationError
from api.rate_limits.code_attempts import LimitedAttempt
from api.use_cases.redeem import Redemption, admit, draft_command, redeem
from api.use_cases.services import Caller, LedgerServices, Services
from domain.commands.campaign.waiting_list import JoinWaitingList, LeaveWaitingList
from domain.errors import NoSuchCampaign, Refusal
from domain.model.campaign import Campaign
from domain.model.waiting_list import WaitingPlace, find_place
from domain.ports import Language
from domain.results import WaitingResult
from domain.values.identifiers import EmailAddress
from domain.values.link_token import PlaceRef, read_waiting_token, waiting_token
from domain.values.persons.mailboxes import mask_email
from projections.definitions.tables.code_balances import code_from_named_row
from projections.read_models.campaign_list import CampaignReader, PlaceUse
from projections.telemetry.after_commit import after_commit


class ShownPlace(NamedTuple):
    """A place as its person may see it.

    Attributes:
        state: `waiting`; `offered`: a use is kept; `listed`: the person waited already, and only they may learn more;
            `taken`: the person took a use since they joined; `ended`: the place is no longer on a list for another
            reason; `invalid`: no such place.
        token: Of its page; empty where it is not shown.
        ahead: People who are before it.
        offered_until: Until when a use is kept at least.
        email: The address that is written to; None if it was erased or the state shows no place.
        is_takable: Whether the campaign gives the offered use now; a pause for example ends no offer.
        place_id: Its id; None where it is not shown.
        use: The use that was taken.
    """

    state: Literal["waiting", "offered", "listed", "taken", "ended", "invalid"]
    token: str = ""
    ahead: int = 0
    offered_until: datetime | None = None
    is_takable: bool = True
    email: str | None = None
    place_id: UUID | None = None
    use: PlaceUse | None = None

    @property
    def path(self) -> str:
        """Path of its page."""
        return f"/waiting/{self.token}"


class WaitingRow(NamedTuple):
    """A place as staff see it: number from 1, its id, the code, the masked address, and its times."""

    number: int
    place_id: UUID
    code_id: UUID
    email: str | None
    joined_at: datetime
    offered_until: datetime | None


async def join(services: Services, caller: Caller, email: str, code: str, *, language: Language) -> ShownPlace:
    """Give a person the last place on the waiting list of a code's campaign.

    A person who has one keeps it. Then the link to it is not returned: others who know the address could end the place.

    Raises:
        ApplicationError: Malformed input, a refusal, a rate limit, or the database is unavailable.
    """
    redeeming, typed = draft_command(services, caller, services.context(caller), email, code, language=language)
    redeeming, attempt = admit(services, caller, redeeming, typed)
    if attempt is None:
        return await services.run_blocking(_join, services, JoinWaitingList(redeem=redeeming))
    return await _join_within_limits(services, JoinWaitingList(redeem=redeeming), attempt)


async def _join_within_limits(services: Services, command: JoinWaitingList, attempt: LimitedAttempt) -> ShownPlace:
    try:
        place = await services.run_blocking(_join, services, command)
    except BaseException as error:
        attempt.settle(error)
        raise
    attempt.has_joined = place.state != "listed"
    with after_commit("settling rate limits"):
        attempt.settle(None)
    return place


def _join(services: Services, command: JoinWaitingList) -> ShownPlace:
    result = _require(services.storage.ledger.execute_one(command))
    if result.place is None:
        raise AssertionError("a person who joined has a place")
    return _show(services, result.campaign, result.place) if result.changed else ShownPlace("listed")


def find_shown_place(services: Services, token: str) -> ShownPlace:
    """Return the place that a link leads to, without changing anything."""
    ref, campaign = _find(services, token)
    if ref is None or campaign is None:
        return ShownPlace("invalid")
    now = services.now()
    campaign = campaign.without_expired_offers(now)
    place = find_place(campaign.waiting, ref.place_id)
    if place is not None and not campaign.has_ended(now):
        return _show(services, campaign, place)
    use = CampaignReader(services.storage).find_use_of_place(ref.place_id)
    return ShownPlace("ended" if use is None else "taken", token, place_id=ref.place_id, use=use)


def leave(services: Services, caller: Caller, token: str) -> ShownPlace:
    """End a place at the request of its person; a repeat changes nothing."""
    ref, campaign = _find(services, token)
    if ref is None or campaign is None:
        return ShownPlace("invalid")
    command = LeaveWaitingList(
        context=services.context(caller), campaign_id=ref.campaign_id, place_id=ref.place_id, cause="left"
    )
    _require(services.storage.ledger.execute_one(command))
    return ShownPlace("ended", token)


def remove(services: LedgerServices, caller: Caller, campaign_id: UUID, place_id: UUID, note: str | None) -> bool:
    """End a place for staff, for a reason; False: it has ended.

    Raises:
        ApplicationError: CAMPAIGN_NOT_FOUND.
    """
    command = LeaveWaitingList(
        context=services.context(caller),
        campaign_id=campaign_id,
        place_id=place_id,
        cause="removed",
        note=services.note(note),
    )
    return _require(services.storage.ledger.execute_one(command)).changed


async def take_offered_use(services: Services, caller: Caller, token: str, *, language: Language) -> Redemption | None:
    """Redeem the code of a place for its person; None if the place has ended.

    Raises:
        ApplicationError: As `redeem`.
    """
    typed = await services.run_blocking(_find_typed, services, token)
    if typed is None:
        return None
    return await redeem(services, caller, *typed, language=language)


def list_places(services: LedgerServices, campaign_id: UUID) -> list[WaitingRow]:
    """Return the waiting list of a campaign in order, with masked addresses.

    Raises:
        ApplicationError: CAMPAIGN_NOT_FOUND.
    """
    campaign = CampaignReader(services.storage).find_campaign_state(campaign_id)
    if campaign is None:
        raise ApplicationError.from_refusal(NoSuchCampaign())
    return name_places(services, campaign)


def list_places_of(
    services: LedgerServices, recipient_id: UUID, limit: int
) -> list[tuple[Campaign, int, WaitingPlace]]:
    """Return the places on which a recipient waits now, with campaign and number from 1, in the order of joining.

    A place whose offer has passed, or whose campaign has ended, is left out as on the page of the place.
    """
    now = services.now()
    return [
        (campaign, number, place)
        for campaign, place_id in CampaignReader(services.storage).list_open_places(recipient_id, limit)
        if not campaign.has_ended(now)
        for number, place in enumerate(campaign.without_expired_offers(now).waiting, 1)
        if place.place_id == place_id
    ]


def name_places(services: LedgerServices, campaign: Campaign, limit: int | None = None) -> list[WaitingRow]:
    """Return the first places of a campaign with the masked addresses of their people; None for erased ones."""
    places, now = campaign.waiting[:limit], services.now()
    addresses = services.reader.find_recipients([place.recipient_id for place in places]) if places else {}
    return [
        WaitingRow(
            number,
            place.place_id,
            place.code_id,
            mask_email(address.normal) if isinstance(address, EmailAddress) else None,
            place.joined_at,
            campaign.find_reserved_until(place, now),
        )
        for number, place in enumerate(places, 1)
        for address in [addresses.get(place.recipient_id)]
    ]


def _find(services: Services, token: str) -> tuple[PlaceRef | None, Campaign | None]:
    ref = read_waiting_token(_secret(services), token)
    return ref, None if ref is None else CampaignReader(services.storage).find_campaign_state(ref.campaign_id)


def _find_typed(services: Services, token: str) -> tuple[str, str] | None:
    """Return address and code of a place that has not ended."""
    ref, campaign = _find(services, token)
    place = None if ref is None or campaign is None else find_place(campaign.waiting, ref.place_id)
    if place is None:
        return None
    address = services.reader.find_recipients([place.recipient_id]).get(place.recipient_id)
    code = services.reader.find_code_text(place.code_id)
    return (address.normal, code) if isinstance(address, EmailAddress) and code is not None else None


def _show(services: Services, campaign: Campaign, place: WaitingPlace) -> ShownPlace:
    token = waiting_token(_secret(services), PlaceRef(campaign.campaign_id, place.place_id))
    now = services.now()
    address = services.reader.find_recipients([place.recipient_id]).get(place.recipient_id)
    email = address.typed if isinstance(address, EmailAddress) else None
    if (reserved_until := campaign.find_reserved_until(place, now)) is None:
        ahead = campaign.without_expired_offers(now).count_ahead(place.recipient_id)
        return ShownPlace("waiting", token, ahead, email=email, place_id=place.place_id)
    row = services.reader.find_balance(place.code_id)
    code_ends_at = None if row is None else code_from_named_row(row).terms.expires_at
    reserved_until = min(reserved_until, code_ends_at or reserved_until)
    is_takable, ahead = campaign.keeps_use_for(place, now), campaign.count_ahead(place.recipient_id)
    return ShownPlace("offered", token, ahead, reserved_until, is_takable, email, place.place_id)


def _require(result: WaitingResult | Refusal) -> WaitingResult:
    if isinstance(result, Refusal):
        raise ApplicationError.from_refusal(result) from result
    return result


def _secret(services: Services) -> bytes:
    return services.settings.secret_key.get_secret_value().encode()
