"""A hand-out of the campaign's codes: lists, workers that take the same rows, and what staff do at odd times."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from domain.command_bus import Command
from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.context import CommandContext
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
from domain.commands.reservation.reserve import ReserveUse
from domain.errors import HandOutCodeConflict
from domain.events.hand_out import SkipReason
from domain.model.hand_out import HandedOutCode, HandOutState, HandOutText, list_codes_of_line
from domain.ports import Accepted, CodeDraft, FinalOutcome, OutboundMessage, OutcomeUnknown, Rejected
from domain.results import CommandResult, Result
from domain.values.identifiers import EmailAddress
from projections.database.errors import StorageUnavailableError
from tests.simulation.actors.components import MESSAGES, SharedInfrastructure
from tests.simulation.actors.ends import SWEEP_S
from tests.simulation.actors.recipients import RECIPIENTS, code_draft, recipient_draft
from tests.simulation.scheduler import SimulatedProcess
from tests.simulation.services.line_codes import LineIssuer
from tests.simulation.services.related_writes import MemoryListRow
from tests.support.ledger.code_terms import make_terms
from workers.sending.message_factory import HandOutMail

SHARE: Final = 0.5
"""Share of the schedules that have a hand-out."""
WORKERS, UPLOADS_MAX, ROWS_MAX, GIVEN_MAX, CHANGES_MAX = 2, 2, 3, 3, 3
PEOPLE: Final = RECIPIENTS + 3
"""Addresses that it sends to: those of the persons who redeem, and others."""
DRAFTS: Final = 0.3
"""Share of the hand-outs that staff start later."""
UPLOADS_ENDED: Final = 0.8
"""Share of the uploads that end if no other one takes their rows over."""
MEMBERS_GIVEN: Final = 0.8
"""Share of the codes to hand out that are chosen from those of the campaign."""
VALID_DAYS: Final = (None, 1, 30)
"""Days from the hand-out of a code to its end, of a hand-out."""
LINE_CODES: Final = (1, 1, 1, 2, 3)
"""How many codes a row of a list has."""
CUT_OFF: Final = 0.3
"""Share of the commits about lines with several codes after which the worker ends."""
REDEEMED: Final = 0.3
"""Share of the looks at a row after which its recipient redeems one of its codes."""
LATE_MAX: Final = 3
"""Codes that are redeemed after their ends, when everything else has ended."""
UNRECORDED: Final = 0.3
"""Share of the emails that are sent by a worker that ends before it records them."""
REPORTED: Final = 0.3
"""Share of the accepted emails of which something is reported later."""
OPTED_OUT: Final = 0.1
"""Share of the people who opted out."""
FIRST_NUMBER: Final = 100
"""Number of its first code: those before it are of the schedule."""
OUTCOMES: Final[tuple[FinalOutcome | SkipReason, ...]] = (
    *[Accepted(server="mx", reply_code=250)] * 3,
    Rejected(server="mx", reason="address_refused", final=True),
    OutcomeUnknown(server="mx", cause="timeout"),
    "erased",
)


Redeem = Callable[[UUID, int], None]
"""Has a person redeem a code."""


class SentHandOut(NamedTuple):
    """An email with a code that the mail server may have accepted."""

    recipient_id: UUID
    number: int
    message: OutboundMessage


class SimulatedHandOut:
    """One hand-out. Its randomness is separate, so that the schedules of everything else stay as they are.

    Attributes:
        sent: Emails that were sent, those of other workers with the same number too.
        report: Has servers report something about an email.
    """

    def __init__(self, infrastructure: SharedInfrastructure, campaign_id: UUID) -> None:
        self._site, self._scheduler, self._campaign_id = infrastructure, infrastructure.scheduler, campaign_id
        self._random = Random(campaign_id.int + 1)
        self._hand_out_id = self._new_id()
        self._people: dict[UUID, int] = {}
        self._numbers: dict[UUID, int] = {}
        self._opted_out = {person for person in range(PEOPLE) if self._random.random() < OPTED_OUT}
        self.sent: list[SentHandOut] = []
        self.report: Callable[[OutboundMessage], None] = lambda _: None
        self._lines = Random(campaign_id.int + 9)
        self._issuer = LineIssuer(infrastructure, self._execute_as_worker, self._draft_code)
        self._process = SimulatedProcess("recipient")
        self._until_s = 0.0

    def begin(self, process: SimulatedProcess, until_s: float, redeem: Redeem) -> None:
        """Let staff upload lists, hand codes out and change things at some times, and workers send."""
        random = self._random
        if random.random() >= SHARE:
            return
        self._process, self._until_s = process, until_s
        start_s = random.uniform(0, until_s / 2)
        self._scheduler.spawn(process, self._create, start_s)
        for _ in range(WORKERS):
            self._scheduler.spawn(process, self._work, random.uniform(start_s, until_s))
        for _ in range(random.randint(1, UPLOADS_MAX)):
            self._scheduler.spawn(process, self._upload, start_s + random.choice([1.0, 5.0, 20.0]))
        for _ in range(random.randint(0, GIVEN_MAX)):
            give = partial(self._give, process, redeem)
            self._scheduler.spawn(process, give, start_s + random.choice([1.0, 5.0, random.uniform(0, until_s)]))
        for _ in range(random.randint(0, CHANGES_MAX)):
            self._scheduler.spawn(process, self._change, random.uniform(start_s, until_s))
        for action in random.sample(self._actions(), random.randint(1, 4)):
            self._scheduler.spawn(process, action, random.uniform(start_s, until_s))

    def outlast_ends(self) -> bool:
        """Let codes be redeemed after their own ends; return whether one has such an end."""
        codes = self._site.store.codes
        ends = [
            (end, key) for key in self._numbers if key in codes and (end := codes[key].terms.expires_at) is not None
        ]
        for end, code_id in sorted(ends)[:LATE_MAX]:
            self._site.clock_offset_s += max(0.0, (end - self._site.now()).total_seconds())
            self._scheduler.run_until(self._scheduler.now + 2 * SWEEP_S)
            self._scheduler.spawn(self._process, partial(self._redeem, code_id, self._lines.randrange(RECIPIENTS)))
            self._scheduler.run_until(self._scheduler.now + 2 * SWEEP_S)
        return bool(ends)

    def _create(self) -> None:
        now, lines = self._site.now(), self._lines
        create = CreateHandOut(
            context=self._context(),
            campaign_id=self._campaign_id,
            hand_out_id=self._hand_out_id,
            name="Autumn",
            terms=make_terms(
                starts_at=lines.choice([None, None, now + timedelta(seconds=40)]),
                expires_at=lines.choice([None, None, now + timedelta(seconds=300)]),
            ),
            valid_for_days=lines.choice(VALID_DAYS),
            is_draft=self._random.random() < DRAFTS,
        )
        self._manage(create)
        if create.is_draft:
            self._scheduler.pass_time(self._random.choice([5.0, 60.0]))
            self._start()

    def _start(self) -> None:
        """Start a draft or a paused hand-out, often at a time in the future, and let a worker look then."""
        random, wait_s = self._random, self._random.choice([0.0, 60.0, 300.0])
        starts_at = self._site.now() + timedelta(seconds=wait_s) if wait_s else None
        ids: dict[str, Any] = {"campaign_id": self._campaign_id, "hand_out_id": self._hand_out_id}
        self._manage(ResumeHandOut(context=self._context(), starts_at=starts_at, **ids))
        self._scheduler.pass_time(wait_s + random.choice([1.0, 20.0]))
        self._work()

    def _work(self) -> None:
        """Send what is queued, as a worker does that may have lost its lease to another one."""
        store = self._site.store
        for row in store.lists.find_due(self._hand_out_id):
            if self._find_state() != "running":
                return
            if self._people[row.recipient_id] in self._opted_out and row.code_id not in store.handed_out:
                continue
            try:
                self._issuer.issue(row)
            except StorageUnavailableError:
                self._scheduler.note("hand-out: the worker ended")
                return
            self._send(row.code_id)
            wait_s = self._lines.choice([0.1, 20.0])
            if self._lines.random() < REDEEMED and self._scheduler.now + wait_s < self._until_s:
                code_id = self._lines.choice(list_codes_of_line(row.code_id, row.codes))
                redeem = partial(self._redeem, code_id, self._people[row.recipient_id])
                self._scheduler.spawn(self._process, redeem, wait_s)

    def _draft_code(self, code_id: UUID) -> CodeDraft:
        return code_draft(self._numbers.setdefault(code_id, FIRST_NUMBER + len(self._numbers)), code_id)

    def _execute_as_worker(self, commands: Sequence[Command]) -> Sequence[Result]:
        """Commit what a worker issues; it may end before and after each commit of a line with several codes."""
        is_of_several = any(isinstance(each, IssueCode) and _is_of_several(each) for each in commands)
        if is_of_several:
            self._scheduler.pass_time(self._lines.choice([0.0, 0.1, 5.0]))
        results = self._site.ledger.execute(commands)
        self._scheduler.counts["line of a list with several codes"] += is_of_several
        if is_of_several and self._lines.random() < CUT_OFF:
            self._scheduler.counts["worker ended in a line"] += 1
            raise StorageUnavailableError("the worker has ended")
        return results

    def _redeem(self, code_id: UUID, person: int) -> None:
        result = self._execute(
            ReserveUse(
                context=CommandContext(now=self._site.now(), actor="person"),
                code_digests=self._draft_code(code_id).digests,
                recipient=recipient_draft(person, self._new_id()),
                reservation_id=self._new_id(),
                language="en",
            )
        )
        word = "redeemed" if isinstance(result, CommandResult) else getattr(result, "code", "no answer")
        self._scheduler.counts[f"handed-out code: {word}"] += 1

    def _send(self, code_id: UUID) -> None:
        handed_out = self._site.store.handed_out.get(code_id)
        if handed_out is None or handed_out.mail_state != "queued" or handed_out.line_id is not None:
            return
        outcome = self._random.choice(OUTCOMES)
        if self._people[handed_out.recipient_id] in self._opted_out:
            outcome = "opted_out"
        if not isinstance(outcome, str) and self._random.random() < UNRECORDED:
            self.sent.append(SentHandOut(handed_out.recipient_id, handed_out.mail, self._write(handed_out)))
            self._scheduler.pass_time(self._random.choice([5.0, 40.0]))  # the worker ended, and its lease ends
        if not isinstance(outcome, str):
            self.sent.append(SentHandOut(handed_out.recipient_id, handed_out.mail, self._write(handed_out)))
        if isinstance(outcome, Accepted) and self._random.random() < REPORTED:
            self.report(self._write(handed_out))
        self._scheduler.pass_time(self._random.choice([0.1, 5.0]))
        for _ in range(self._random.choice([1, 1, 2])):  # an answer may be lost
            self._execute(
                RecordHandOutMail(context=self._context(), code_id=code_id, mail=handed_out.mail, outcome=outcome)
            )

    def _write(self, handed_out: HandedOutCode) -> OutboundMessage:
        """Write the newest email with a code: with the texts as they are now, as another worker would."""
        store, code_id = self._site.store, handed_out.code_id
        text = store.lists.texts.get(self._hand_out_id, {}).get("en", HandOutText())
        codes = {known_id: digest.hex() for digest, known_id in store.code_ids.items()}
        of_line = [(codes[key], None) for key in list_codes_of_line(code_id, handed_out.codes) if key in codes]
        mail = HandOutMail(
            code_id=code_id,
            recipient_id=handed_out.recipient_id,
            number=handed_out.mail,
            code=codes[code_id],
            language="en",
            group=None,
            written_at=self._site.start,
            subject=text.subject,
            text=text.body,
            codes=of_line if handed_out.codes > 1 else (),
            total=handed_out.codes,
        )
        person = recipient_draft(self._people[handed_out.recipient_id], handed_out.recipient_id)
        return MESSAGES.handed_out_code(mail, EmailAddress(person.normal, person.normal))

    def _actions(self) -> list[Callable[[], None]]:
        return [
            self._pause,
            partial(self._change_mail, RecordHandOutReport),
            partial(self._change_mail, ResendHandOut),
            partial(self._change_mail, ResendHandOut),
            partial(self._change_mail, RemindOfHandOut),
            partial(self._change_mail, RemindOfHandOut),
            self._end,
        ]

    def _upload(self) -> None:
        """Upload a list row by row; another upload may take its rows over, and sometimes it does not end."""
        lists, upload_id = self._site.store.lists, self._new_id()
        for person in self._random.sample(range(PEOPLE), self._random.randint(1, ROWS_MAX)):
            if self._find_state() in {None, "ended"}:
                return
            row = MemoryListRow(
                self._new_id(),
                self._campaign_id,
                self._store_person(person),
                self._hand_out_id,
                upload_id,
                self._lines.choice(LINE_CODES),
            )
            if not lists.add(row, self._site.store.handed_out):
                self._scheduler.counts["upload taken over"] += 1
                return
            self._scheduler.pass_time(self._random.choice([0.1, 5.0]))
        if self._random.random() < UPLOADS_ENDED:
            lists.end(upload_id)
        self._work()

    def _give(self, process: SimulatedProcess, redeem: Redeem) -> None:
        """Hand out a code that exists while lists are uploaded; often a person redeems the code."""
        random, codes = self._random, self._site.store.codes
        members = [code_id for code_id in sorted(codes) if codes[code_id].campaign_id == self._campaign_id]
        code_id = random.choice(members if members and random.random() < MEMBERS_GIVEN else sorted(codes))
        if self._find_state() in {None, "ended"}:
            return
        if random.random() < 0.5:
            redeemer = partial(redeem, code_id, random.randrange(RECIPIENTS))
            self._scheduler.spawn(process, redeemer, random.choice([0.0, 0.1, 5.0]))
            self._scheduler.pass_time(random.choice([0.0, 0.1, 1.0]))
        place = HandOutPlace(self._hand_out_id, self._store_person(random.randrange(PEOPLE)))
        for _ in range(random.choice([1, 1, 2])):  # an answer may be lost
            result = self._execute(
                HandOutCode(
                    context=self._context(),
                    code_id=code_id,
                    campaign_id=self._campaign_id,
                    mail_group=codes[code_id].terms.group,
                    place=place,
                    upload_id=self._new_id(),
                    language="en",
                )
            )
            if isinstance(result, HandOutCodeConflict):
                self._scheduler.counts[f"existing code refused: {result.why}"] += 1
            elif isinstance(result, CommandResult):
                self._scheduler.counts["existing code handed out"] += result.changed
                self._send(code_id)

    def _store_person(self, person: int) -> UUID:
        store, draft = self._site.store, recipient_draft(person, self._new_id())
        if draft.digests[0] not in store.recipient_ids:
            store.recipient_ids[draft.digests[0]] = draft.new_id
            store.addresses[draft.new_id] = draft.seal()
            store.mailboxes[draft.new_id] = draft.mailbox.encode()
        recipient_id = store.recipient_ids[draft.digests[0]]
        self._people[recipient_id] = person
        return recipient_id

    def _change(self) -> None:
        random = self._random
        text = TextChange(random.choice([None, "", "Hello"]), random.choice([None, "Your code: {code}"]))
        self._manage(
            ChangeHandOut(
                context=self._context(),
                campaign_id=self._campaign_id,
                hand_out_id=self._hand_out_id,
                changes_rate=random.random() < 0.7,
                per_minute=random.choice([None, 1, 60]),
                texts={"en": text} if random.random() < 0.7 else {},
            )
        )

    def _pause(self) -> None:
        ids: dict[str, Any] = {"campaign_id": self._campaign_id, "hand_out_id": self._hand_out_id}
        self._manage(PauseHandOut(context=self._context(), **ids))
        self._scheduler.pass_time(self._random.choice([5.0, 40.0]))
        self._start()

    def _end(self) -> None:
        self._manage(EndHandOut(context=self._context(), campaign_id=self._campaign_id, hand_out_id=self._hand_out_id))

    def _change_mail(self, command: type[RecordHandOutReport | ResendHandOut | RemindOfHandOut]) -> None:
        if not (code_ids := sorted(self._site.store.handed_out)):
            return
        code_id = self._random.choice(code_ids)
        self._execute(command(context=self._context(), code_id=code_id))
        self._send(code_id)

    def _manage(self, command: HandOutCommand) -> None:
        try:
            self._site.ledger.execute_one(command)
        except StorageUnavailableError:
            self._scheduler.note("hand-out: no database")

    def _execute(self, command: Command) -> Result | None:
        """Execute a command; None without an answer. No row of a list may be there already unless a rule refuses it."""
        try:
            return self._site.ledger.execute([command])[0]
        except StorageUnavailableError:
            self._scheduler.note("hand-out: no database")
            return None
        except IntegrityError as error:
            raise AssertionError(str(error)) from error

    def _find_state(self) -> HandOutState | None:
        hand_out = self._site.store.hand_outs.get(self._hand_out_id)
        return None if hand_out is None else hand_out.state_at(self._site.now())

    def _context(self) -> CommandContext:
        return CommandContext(now=self._site.now(), actor="worker")

    def _new_id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)


def _is_of_several(issue: IssueCode) -> bool:
    return issue.handed_out is not None and issue.handed_out.codes > 1
