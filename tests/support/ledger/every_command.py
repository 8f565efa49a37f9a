"""Random batches of every command, also about campaigns, hand-outs and accesses, the same for both stores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, get_args
from uuid import UUID

from msgspec import structs

from domain.application import case_ids
from domain.command_bus import AnyCommand, Command
from domain.commands.access.rebind import RebindReservation, RequestRebind
from domain.commands.access.record_removal import RecordExternalRemoval
from domain.commands.access.settle_access import RecordRemovalOutcome, SettleAccess
from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.campaign.join_campaign import JoinCampaign
from domain.commands.campaign.manage_campaign import (
    CampaignCommand,
    ChangeCampaignTerms,
    CreateCampaign,
    PauseCampaign,
    ReportCampaignEnd,
    ResumeCampaign,
)
from domain.commands.campaign.waiting_list import JoinWaitingList, LeaveWaitingList, OfferUses, RecordOfferMail
from domain.commands.code.change_terms import ChangeTerms
from domain.commands.code.import_code import ImportCode, ImportedUse
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.code.pause import PauseCode, ResumeCode
from domain.commands.code.report_end import ReportCodeEnd
from domain.commands.code.revoke import ContinueRevocation, RevokeCode
from domain.commands.delivery.record_bounce import RecordMailReport
from domain.commands.delivery.reveal_link import RevealLink
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
    HandOutCommand,
    PauseHandOut,
    TextChange,
)
from domain.commands.reservation.cancel import CancelReservation
from domain.commands.reservation.close_for_erasure import CloseForErasure
from domain.commands.reservation.correct_recipient import CorrectRecipient
from domain.commands.reservation.request_resend import RequestResend
from domain.commands.reservation.reserve import ReserveUse
from domain.events.campaign import Counting
from domain.events.code_terms import NO_TERMS
from domain.model.suppression import Suppression
from domain.ports import RecipientDraft
from domain.results import CommandResult
from domain.values.identifiers import EmailAddress, generate_code
from domain.values.limits.thresholds import parse_thresholds
from domain.writes import NewSuppression
from tests.support.ledger.code_terms import make_campaign_terms, make_terms
from tests.support.ledger.random_commands import LOST, SENT, RandomCommands

PEOPLE = 5
CODES = 14
"""So many codes are in use at a time, so that their limits and those of campaigns are reached."""


@dataclass
class EveryCommand(RandomCommands):
    """Makes commands of every kind; the same seed makes the same ones.

    Attributes:
        code_ids: Codes by their texts in `codes`.
        campaigns: Two campaigns, one with shared limits.
        hand_outs: A hand-out of each campaign.
        known_ids: Reservations that were made, as `note` heard.
        recipients: Recipients that are known by then, to whom codes may be handed out.
        handed_out: Codes that were handed out.
    """

    code_ids: list[UUID] = field(default_factory=list)
    campaigns: list[UUID] = field(default_factory=list)
    hand_outs: list[UUID] = field(default_factory=list)
    known_ids: list[UUID] = field(default_factory=list)
    recipients: set[UUID] = field(default_factory=set)
    handed_out: list[UUID] = field(default_factory=list)
    _redeems: dict[UUID, ReserveUse] = field(default_factory=dict)
    _in_campaigns: list[tuple[UUID, UUID]] = field(default_factory=list)
    _texts_in_campaigns: list[str] = field(default_factory=list)

    def create_campaigns(self) -> list[CampaignCommand | HandOutCommand]:
        """The campaigns and their hand-outs, to be executed first."""
        self.campaigns = [self.new_id(), self.new_id()]
        self.hand_outs = [self.new_id(), self.new_id()]
        staff = self.context("staff", "s0")
        limits: tuple[dict[str, Any], dict[str, Any]] = (
            {"max_per_day": 5, "max_per_person": 1, "person_rule": "mailbox", "remind_days": 1},
            {"max_uses": 3, "max_per_person": 1, "remind_days": 1},
        )
        commands: list[CampaignCommand | HandOutCommand] = [
            CreateCampaign(context=staff, campaign_id=each, terms=make_campaign_terms(**terms))
            for each, terms in zip(self.campaigns, limits, strict=True)
        ]
        return commands + [
            CreateHandOut(
                context=staff,
                campaign_id=campaign_id,
                hand_out_id=each,
                name="h",
                terms=structs.replace(NO_TERMS, group="red"),
                existing_codes=True,
            )
            for campaign_id, each in zip(self.campaigns, self.hand_outs, strict=True)
        ]

    def note(self, command: Command, result: CommandResult) -> None:
        """Hear of an accepted command: later ones may be about what it made."""
        if isinstance(command, HandOutCode) and result.changed:
            self.handed_out.append(command.code_id)
        if result.reservation and result.reservation.reservation_id not in self.known_ids:
            self.known_ids.append(result.reservation.reservation_id)
            self.recipients.add(result.reservation.recipient_id)

    def recount_uses(self) -> list[ChangeCampaignTerms]:
        """Changes after which each campaign counts no use and then all of them: for the end of a history."""
        return [
            ChangeCampaignTerms(
                context=self.context("staff", "s1"), campaign_id=each, changes={"max_uses": 100}, counting=counting
            )
            for each in self.campaigns
            for counting in get_args(Counting)[::-1]
        ]

    def use_waiting_list(self) -> list[AnyCommand]:
        """Join the list of a full campaign, raise its limit, offer uses, and leave: for the end of a history."""
        staff, campaign_id, place_id = self.context("staff", "s1"), self.campaigns[1], self.new_id()
        about: dict[str, Any] = {"context": staff, "campaign_id": campaign_id}
        code = self.new_code(None, bound=False, campaign_id=campaign_id)
        redeems = [super(EveryCommand, self).redeem(code=self.codes[-1]) for _ in range(2)]
        drafts = [
            self.vault.draft_recipient(EmailAddress.parse(f"w{nth}@example.com"), self.new_id()) for nth in (0, 1)
        ]
        first, second = (structs.replace(each, recipient=draft) for each, draft in zip(redeems, drafts, strict=True))
        return [
            ResumeCampaign(**about),
            ChangeCampaignTerms(**about, changes={"max_uses": 1, "waiting_hours": 1}, counting="from_now"),
            code,
            first,
            JoinWaitingList(redeem=structs.replace(second, reservation_id=place_id)),
            ChangeCampaignTerms(**about, changes={"max_uses": 2}),
            OfferUses(**about),
            RecordOfferMail(**about, place_id=place_id, outcome="sent"),
            *[self.report_offer(campaign_id, place_id, second.recipient.new_id)] * 2,
        ]

    def report_offer(self, campaign_id: UUID, place_id: UUID, recipient_id: UUID) -> LeaveWaitingList:
        report = self.vault.seal_text("no such user", self.new_id(), None)
        until = self.now + timedelta(days=90)
        suppression = NewSuppression(recipient_id, Suppression("mailbox_unknown"), self.now, until, report.text_id)
        about: dict[str, Any] = {"campaign_id": campaign_id, "place_id": place_id, "cause": "undeliverable"}
        return LeaveWaitingList(context=self.context("worker"), **about, note=report, suppression=suppression)

    def report_ends(self) -> list[AnyCommand]:
        """Bring the ends of a code and a campaign near, and report what has come since: for the end of a history."""
        staff, code_id, campaign_id = self.context("staff", "s1"), self.code_ids[-1], self.campaigns[0]
        sweep = structs.replace(self.context("sweep"), now=self.now + timedelta(days=2))
        end, terms = self.now + timedelta(days=3), {"notify_at": parse_thresholds("2 days, 1 day")}
        return [
            ChangeTerms(context=staff, code_id=code_id, changes={"expires_at": end, **terms}),
            ChangeCampaignTerms(context=staff, campaign_id=campaign_id, changes={"ends_at": end, **terms}),
            *[ReportCodeEnd(context=sweep, code_id=code_id)] * 2,
            *[ReportCampaignEnd(context=sweep, campaign_id=campaign_id)] * 2,
        ]

    def about_campaign(self) -> CampaignCommand | HandOutCommand:
        nth = self.random.randrange(2)
        about: dict[str, Any] = {"context": self.context("staff", "s1"), "campaign_id": self.campaigns[nth]}
        of_hand_out = {**about, "hand_out_id": self.hand_outs[nth]}
        changes: dict[str, Any] = {"max_uses": self.random.choice([None, 2, 4, 8])}
        if self.random.random() < 0.5:
            changes["max_per_person"] = self.random.choice([None, 1, 2])
        commands: list[CampaignCommand | HandOutCommand] = [
            ChangeCampaignTerms(**about, changes=changes),
            ChangeCampaignTerms(**about, changes=changes),
            PauseCampaign(**about),
            *[ResumeCampaign(**about)] * 4,
            ChangeHandOut(**of_hand_out, changes_rate=True, per_minute=self.random.choice([None, 5])),
            ChangeHandOut(**of_hand_out, texts={"en": TextChange(subject=self.random.choice(["", "a", "b"]))}),
            PauseHandOut(**of_hand_out),
        ]
        return self.random.choice(commands)

    def new_code(self, max_uses: int | None, *, bound: bool, campaign_id: UUID | None = None) -> IssueCode:
        """A code with a group, whose accesses end and may be moved."""
        text, code_id = generate_code(self.random), self.new_id()
        self.codes.append(text)
        self.code_ids.append(code_id)
        if campaign_id is not None:
            self._in_campaigns.append((code_id, campaign_id))
            self._texts_in_campaigns.append(text)
        return IssueCode(
            context=self.context("operator"),
            code_id=code_id,
            text=self.vault.draft_code(text, code_id),
            terms=make_terms(max_uses=max_uses, group="red", rebinds_max=2, validity_days=7),
            bound=bound,
            campaign_id=campaign_id,
        )

    def redeem(
        self,
        person: str = "li",
        *,
        code: str | None = None,
        again: UUID | None = None,
        key: tuple[bytes, bytes] | None = None,
    ) -> ReserveUse:
        """A redeem, as usual; a rebind may be requested for it later."""
        if self.random.random() < 0.4:
            code = self.random.choice(self._texts_in_campaigns[-4:])
        command = super().redeem(person, code=code, again=again, key=key)
        self._redeems[command.reservation_id] = command
        return command

    def _anything(self, known_ids: Sequence[UUID]) -> Command:
        del self.codes[:-CODES], self.code_ids[:-CODES], self._in_campaigns[:-CODES]
        if not known_ids or self.random.random() < 0.5:
            return super()._anything(known_ids)
        if self.random.random() < 0.45:
            return self.random.choice(self._about_codes(known_ids))()
        return self.random.choice(self._about_reservations(self.random.choice([*known_ids, *known_ids[-6:]])))()

    def _person(self) -> RecipientDraft:
        number = self.random.randrange(PEOPLE)
        name = "p0+gift" if number == PEOPLE - 1 else f"p{number}"  # the mailbox of the first one
        address = EmailAddress.parse(f"{name}@example.com")
        return self.vault.draft_recipient(address, self.new_id())

    def _about_codes(self, known_ids: Sequence[UUID]) -> list[Callable[[], Command]]:
        pick = self.random.choice
        nth = self.random.randrange(len(self.code_ids))
        code_id = self.code_ids[nth]
        staff = self.context("staff", pick(["s1", "s2"]))
        about: dict[str, Any] = {"context": staff, "code_id": code_id}
        note = self.vault.seal_text("a note", UUID(int=self.random.randrange(200)), None)
        campaign = self.random.randrange(2)
        handed_out = pick(self.handed_out[-6:] or [code_id])
        worker: dict[str, Any] = {"context": self.context("worker", "t1"), "code_id": handed_out}
        commands: list[Callable[[], Command]] = [
            partial(self._request_rebind, known_ids),
            partial(self._request_rebind, known_ids),
            partial(NoteOnCode, **about, note=note),
            partial(PauseCode, **about),
            partial(ResumeCode, **about),
            partial(ResumeCode, **about),
            partial(ChangeTerms, **about, changes={"max_uses": pick([None, 1, 2, 3, 6])}),
            partial(JoinCampaign, **about, campaign_id=self.campaigns[campaign]),
            partial(ContinueRevocation, **about, case_ids=case_ids(self.new_id)),
            partial(self._hand_out, code_id, self.campaigns[campaign]),
            partial(self._hand_out, *pick(self._in_campaigns[-6:])),
            partial(self._hand_out, *pick(self._in_campaigns[-6:])),
            partial(RecordHandOutMail, **worker, mail=1, outcome=pick([SENT, LOST])),
            partial(RecordHandOutReport, context=self.context("key"), code_id=handed_out),
            partial(RecordHandOutReport, **worker, text=note, mail=pick([1, 2]), reason="mailbox_unknown"),
            partial(RecordHandOutReport, **worker, mail=1, kind=pick(["delayed", "complained"]), text=note),
            partial(ResendHandOut, context=staff, code_id=handed_out),
            partial(RemindOfHandOut, **worker),
            partial(
                self.new_code, pick([1, 2, None]), bound=pick([True, False]), campaign_id=pick([None, *self.campaigns])
            ),
            self._import,
        ]
        if self.random.random() < 0.1:
            ids = pick([(), case_ids(self.new_id)])  # without ids, cases are left to the next command
            commands += [partial(RevokeCode, **about, case_ids=ids)] * 2
        return commands

    def _about_reservations(self, reservation_id: UUID) -> list[Callable[[], Command]]:
        pick = self.random.choice
        request = str(self.new_id())
        about: dict[str, Any] = {"context": self.context("staff", request), "reservation_id": reservation_id}
        sweep: dict[str, Any] = {"context": self.context("sweep"), "reservation_id": reservation_id}
        note = self.vault.seal_text("a note", UUID(int=self.random.randrange(200)), reservation_id)
        removal: dict[str, Any] = {"attempt": pick([1, 1, 2]), "channel": "smtp", "case_id": self.new_id()}
        removal["outcome"] = pick([SENT, LOST])
        return [
            partial(self._correct, reservation_id),
            partial(self._correct, reservation_id),
            partial(RebindReservation, **about, new_reservation_id=self.new_id(), group=pick(["red", "blue"])),
            partial(RebindReservation, **about, new_reservation_id=self.new_id(), group=pick(["blue", "green"])),
            partial(CancelReservation, **about),
            partial(RequestResend, **about),
            partial(RevealLink, **about, note=self.vault.seal_text("by phone", self.new_id(), reservation_id)),
            partial(NoteOnReservation, **about, note=note),
            partial(
                RecordMailReport,
                **about,
                delivery=1,
                evidence="token",
                case_id=self.new_id(),
                kind=pick(["delayed", "complained"]),
                text=note,
            ),
            partial(CloseForErasure, **sweep, case_id=self.new_id()),
            partial(SettleAccess, **sweep),
            partial(RecordRemovalOutcome, **sweep, **removal),
            partial(RecordExternalRemoval, context=self.context("channel"), reservation_id=reservation_id),
        ]

    def _request_rebind(self, known_ids: Sequence[UUID]) -> RequestRebind:
        accepted = [self._redeems[key] for key in known_ids if key in self._redeems]
        of = self.random.choice(accepted[-12:] or [*self._redeems.values()])
        return RequestRebind(
            context=self.context(),
            code_digests=of.code_digests,
            recipient=self.random.choice([of.recipient, of.recipient, self._person()]),
            new_reservation_id=self.new_id(),
            group=self.random.choice(["blue", "green"]),
            language="zh",
            token_of=of.reservation_id,
        )

    def _correct(self, reservation_id: UUID) -> CorrectRecipient:
        return CorrectRecipient(
            context=self.context("staff", str(self.new_id())),
            reservation_id=reservation_id,
            recipient=self._person(),
            new_reservation_id=self.new_id(),
            code_digests=None,
            token_of=None,
        )

    def _hand_out(self, code_id: UUID, campaign_id: UUID) -> HandOutCode:
        hand_out_id = self.hand_outs[self.campaigns.index(campaign_id)]
        place = HandOutPlace(recipient_id=self.random.choice(sorted(self.recipients)), hand_out_id=hand_out_id)
        return HandOutCode(
            context=self.context("staff", "s1"),
            code_id=code_id,
            campaign_id=campaign_id,
            mail_group="red",
            place=place,
            upload_id=self.new_id(),
            language="en",
        )

    def _import(self) -> ImportCode:
        text, code_id = generate_code(self.random), self.new_id()
        use = ImportedUse(reservation_id=self.new_id(), recipient=self._person(), sent_at=self.now - timedelta(days=2))
        self.codes.append(text)
        self.code_ids.append(code_id)
        return ImportCode(
            context=self.context("import"),
            code_id=code_id,
            text=self.vault.draft_code(text, code_id),
            source="before",
            terms=make_terms(max_uses=3),
            bound=False,
            uses=[use],
        )
