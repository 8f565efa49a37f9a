"""Campaigns and hand-outs: the commands about them, and those about codes that are handed out."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from msgspec import structs

from domain.command_bus import Command
from domain.commands.campaign.manage_campaign import (
    CampaignCommand,
    ChangeCampaignTerms,
    CreateCampaign,
    EndCampaign,
    PauseCampaign,
    ReportCampaignEnd,
    ResumeCampaign,
)
from domain.commands.campaign.waiting_list import (
    JoinWaitingList,
    LeaveWaitingList,
    OfferUses,
    RecordOfferMail,
    WaitingListCommand,
)
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.hand_out_code import HandOutCode
from domain.commands.hand_out.hand_out_mail import (
    RecordHandOutMail,
    RecordHandOutReport,
    RemindOfHandOut,
    ResendHandOut,
)
from domain.commands.hand_out.manage_hand_out import (
    ChangeHandOut,
    CreateHandOut,
    EndHandOut,
    HandOutCommand,
    PauseHandOut,
    ResumeHandOut,
    TextChange,
)
from domain.results import HandOutResult
from domain.values.identifiers import EmailAddress
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from tests.support.batch_shapes.registry import issue, issue_codes, new_emails, shape
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.ledger_bench import SENT, LedgerBench

AloneCommand = CampaignCommand | WaitingListCommand | HandOutCommand
ALONE: Final[dict[type[AloneCommand], Callable[[LedgerBench], AloneCommand]]] = {}
"""What prepares the ledger for a command that is decided in a transaction without others, and returns it."""


def create(bench: LedgerBench, **fields: Any) -> CreateHandOut:
    return CreateHandOut(
        **{
            "context": bench.context("operator"),
            "campaign_id": bench.create_campaign(),
            "hand_out_id": uuid4(),
            "name": "N",
            "terms": make_terms(),
            **fields,
        }
    )


def created(bench: LedgerBench, **fields: Any) -> dict[str, Any]:
    """Create a hand-out in a new campaign; what commands about it name."""
    command = create(bench, **fields)
    assert isinstance(bench.storage.ledger.execute_one(command), HandOutResult)
    return {"campaign_id": command.campaign_id, "hand_out_id": command.hand_out_id}


@shape("issue a code that is handed out")
def _issue(bench: LedgerBench, count: int) -> Sequence[IssueCode]:
    ids = created(bench)
    return [
        structs.replace(
            issue(bench, campaign_id=ids["campaign_id"])[1], handed_out=HandOutPlace(ids["hand_out_id"], uuid4())
        )
        for _ in range(count)
    ]


@shape("hand out a code that exists")
def _hand_out(bench: LedgerBench, count: int) -> Sequence[Command]:
    ids = created(bench, existing_codes=True, terms=make_terms(max_uses=None))
    lists, context = HandOutLists(bench.storage, uuid4, uuid4), bench.context("staff")
    rows = [ListRow(EmailAddress.parse(email), "en", {}) for email in new_emails(count)]
    _, code_ids = issue_codes(bench, count, campaign_id=ids["campaign_id"])
    return [
        HandOutCode(
            context=context,
            code_id=code_id,
            campaign_id=ids["campaign_id"],
            mail_group=None,
            place=HandOutPlace(ids["hand_out_id"], lists.store_recipient(row)),
            upload_id=uuid4(),
            language="en",
        )
        for code_id, row in zip(code_ids, rows, strict=True)
    ]


def hand_out_new(bench: LedgerBench, count: int) -> list[UUID]:
    commands = _issue(bench, count)
    bench.storage.ledger.execute(commands)
    return [command.code_id for command in commands]


def mail_new(bench: LedgerBench, count: int) -> list[UUID]:
    """Issue codes that are handed out, with a sent email each; their ids."""
    code_ids, context = hand_out_new(bench, count), bench.context("worker")
    bench.storage.ledger.execute(
        [RecordHandOutMail(context=context, code_id=each, mail=1, outcome=SENT) for each in code_ids]
    )
    return code_ids


@shape("record an email with a handed-out code")
def _record_mail(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("worker")
    return [
        RecordHandOutMail(context=context, code_id=each, mail=1, outcome=SENT) for each in hand_out_new(bench, count)
    ]


@shape("record a bounce of a handed-out code")
def _bounce(bench: LedgerBench, count: int) -> Sequence[Command]:
    context, vault = bench.context("staff"), bench.storage.vault
    return [
        RecordHandOutReport(context=context, code_id=each, text=vault.seal_text("mailbox full", uuid4()))
        for each in mail_new(bench, count)
    ]


@shape("record a report about an email with a handed-out code")
def _report(bench: LedgerBench, count: int) -> Sequence[Command]:
    context, vault = bench.context("worker"), bench.storage.vault
    return [
        RecordHandOutReport(
            context=context, code_id=each, mail=1, kind="complained", text=vault.seal_text("unwanted", uuid4())
        )
        for each in mail_new(bench, count)
    ]


@shape("resend a handed-out code")
def _resend(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("staff")
    return [ResendHandOut(context=context, code_id=each) for each in mail_new(bench, count)]


@shape("remind of a handed-out code")
def _remind(bench: LedgerBench, count: int) -> Sequence[Command]:
    context = bench.context("sweep")
    return [RemindOfHandOut(context=context, code_id=each) for each in mail_new(bench, count)]


def alone(prepare: Callable[[LedgerBench], AloneCommand]) -> Callable[[LedgerBench], AloneCommand]:
    """Register what prepares a command; its annotation names the command's class."""
    ALONE[prepare.__annotations__["return"]] = prepare
    return prepare


@alone
def _create_campaign(bench: LedgerBench) -> CreateCampaign:
    return CreateCampaign(context=bench.context("operator"), campaign_id=uuid4(), terms=make_campaign_terms())


@alone
def _change_campaign(bench: LedgerBench) -> ChangeCampaignTerms:
    campaign_id, context = bench.create_campaign(max_per_person=1), bench.context("operator")
    return ChangeCampaignTerms(context=context, campaign_id=campaign_id, changes={"max_per_person": 2})


@alone
def _pause_campaign(bench: LedgerBench) -> PauseCampaign:
    return PauseCampaign(context=bench.context("operator"), campaign_id=bench.create_campaign())


@alone
def _resume_campaign(bench: LedgerBench) -> ResumeCampaign:
    pause = PauseCampaign(context=bench.context("operator"), campaign_id=bench.create_campaign())
    bench.storage.ledger.execute_one(pause)
    return ResumeCampaign(context=bench.context("operator"), campaign_id=pause.campaign_id)


@alone
def _end_campaign(bench: LedgerBench) -> EndCampaign:
    return EndCampaign(context=bench.context("operator"), campaign_id=bench.create_campaign())


@alone
def _report_end_of_campaign(bench: LedgerBench) -> ReportCampaignEnd:
    context = bench.context("sweep")
    campaign_id = bench.create_campaign(ends_at=context.now + timedelta(days=2), notify_at="1 day")
    return ReportCampaignEnd(
        context=structs.replace(context, now=context.now + timedelta(days=1)), campaign_id=campaign_id
    )


@alone
def _create_hand_out(bench: LedgerBench) -> CreateHandOut:
    return create(bench)


@alone
def _change_hand_out(bench: LedgerBench) -> ChangeHandOut:
    context, subject = bench.context("operator"), TextChange(subject="Your code")
    return ChangeHandOut(context=context, **created(bench), texts={"en": subject})


@alone
def _pause_hand_out(bench: LedgerBench) -> PauseHandOut:
    return PauseHandOut(context=bench.context("operator"), **created(bench))


@alone
def _resume_hand_out(bench: LedgerBench) -> ResumeHandOut:
    ids = created(bench)
    bench.storage.ledger.execute_one(PauseHandOut(context=bench.context("operator"), **ids))
    return ResumeHandOut(context=bench.context("operator"), **ids)


@alone
def _end_hand_out(bench: LedgerBench) -> EndHandOut:
    return EndHandOut(context=bench.context("operator"), **created(bench))


def wait(bench: LedgerBench) -> tuple[UUID, JoinWaitingList]:
    """Fill a campaign; its id, and the command by which the next person waits for a use of it."""
    campaign_id = bench.create_campaign(max_uses=1, waiting_hours=24)
    code = bench.issue(9, bound=False, campaign_id=campaign_id)
    bench.redeem(code, "first@example.com")
    return campaign_id, JoinWaitingList(redeem=bench.reserve(code, "second@example.com"))


@alone
def _join_list(bench: LedgerBench) -> JoinWaitingList:
    return wait(bench)[1]


@alone
def _leave_list(bench: LedgerBench) -> LeaveWaitingList:
    campaign_id, join = wait(bench)
    bench.storage.ledger.execute_one(join)
    place_id = join.redeem.reservation_id
    return LeaveWaitingList(context=bench.context("person"), campaign_id=campaign_id, place_id=place_id, cause="left")


@alone
def _offer(bench: LedgerBench) -> OfferUses:
    campaign_id, join = wait(bench)
    bench.storage.ledger.execute_one(join)
    change = ChangeCampaignTerms(context=bench.context("staff"), campaign_id=campaign_id, changes={"max_uses": 2})
    bench.storage.ledger.execute_one(change)
    return OfferUses(context=bench.context("sweep"), campaign_id=campaign_id)


@alone
def _mail_offer(bench: LedgerBench) -> RecordOfferMail:
    campaign_id, join = wait(bench)
    bench.storage.ledger.execute_one(join)
    place_id = join.redeem.reservation_id
    change = ChangeCampaignTerms(context=bench.context("staff"), campaign_id=campaign_id, changes={"max_uses": 2})
    bench.storage.ledger.execute_one(change)
    bench.storage.ledger.execute_one(OfferUses(context=bench.context("sweep"), campaign_id=campaign_id))
    context = bench.context("worker")
    return RecordOfferMail(context=context, campaign_id=campaign_id, place_id=place_id, outcome="sent")
