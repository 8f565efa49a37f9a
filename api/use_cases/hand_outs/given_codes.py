"""Handing out codes that exist already: those that were imported or issued elsewhere and joined the campaign."""

from uuid import UUID

from msgspec import structs

from api.errors import ApplicationError
from api.use_cases.hand_outs.hand_out_actions import find_details, find_person
from api.use_cases.services import Caller, LedgerServices
from domain.commands.code.issue import HandOutPlace
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.errors import CampaignHasEnded, HandOutCodeConflict, HandOutConflict, Refusal
from domain.values.email_domains import admits_domain
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow, repeat_after_erasure
from projections.hand_outs.hand_out_reader import Person
from projections.read_models.support_queries import SupportReader


def hand_out_existing_code(
    services: LedgerServices, caller: Caller, hand_out_id: UUID, typed_code: str, row: ListRow
) -> Person:
    """Hand a code out that exists, and have its email sent. With the same code and recipient again nothing changes.

    Raises:
        ApplicationError: There is no such hand-out, it or its campaign has ended, or the code or the recipient is not
            possible: the reason says why.
    """
    details, campaign = find_details(services, hand_out_id)
    if campaign.has_ended(services.now()):
        raise ApplicationError.from_refusal(CampaignHasEnded(why="issue"))
    if details.hand_out.state == "ended":
        raise ApplicationError.from_refusal(HandOutConflict("ended"))
    domains = [(campaign.terms.allowed_domains, campaign.terms.denied_domains)]
    domains += [(details.created.allowed_domains, details.created.denied_domains)]
    if not all(admits_domain(row.address.domain, *each) for each in domains):
        raise ApplicationError.from_refusal(HandOutCodeConflict("domain"))
    code_id = services.reader.find_code(typed_code)
    if code_id is None:
        raise ApplicationError.from_refusal(HandOutCodeConflict("unknown"))
    lists = HandOutLists(services.storage, services.new_id, services.new_ordered_id)
    sealed = lists.seal_variables(code_id, row.variables)
    draft = HandOutCode(
        context=services.context(caller),
        code_id=code_id,
        campaign_id=campaign.campaign_id,
        mail_group=details.created.group,
        place=HandOutPlace(hand_out_id, services.new_ordered_id()),
        upload_id=services.new_id(),
        language=row.language,
        sealed=None if sealed is None else sealed.sealed,
        key_id=None if sealed is None else sealed.key_id,
    )
    repeat_after_erasure(lambda: _give(services, lists, row, draft))
    return find_person(services, hand_out_id, code_id)


def _give(services: LedgerServices, lists: HandOutLists, row: ListRow, draft: HandOutCode) -> None:
    """Hand the code out to the recipient with the address of the row."""
    recipient_id = SupportReader(services.storage).find_recipient(row.address)
    if recipient_id is None:  # a refused request stores no email address
        if isinstance(refusal := services.storage.ledger.preview(draft).result, Refusal):
            raise ApplicationError.from_refusal(refusal)
        recipient_id = lists.store_recipient(row)
    place = draft.place._replace(recipient_id=recipient_id)
    services.execute(structs.replace(draft, place=place))
