"""Hand-outs with their terms, how many recipients are in which state, and the recipients page by page."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import product, repeat
from typing import Any, Final, Literal, NamedTuple, cast, get_args
from uuid import UUID

import orjson

from domain.events.hand_out import HandOutCreated
from domain.model.campaign import Campaign
from domain.model.hand_out import HandOut, HandOutState, HandOutText, Mailing, MailState
from domain.ports import Language
from domain.values.identifiers import EmailAddress
from projections.database.store_queries import Database, ReadableStore
from projections.event_store.codec import decode
from projections.event_store.hand_out_rows import build_hand_out, read_rate, texts_by_hand_out
from projections.read_models.pagination import ListCursor, ListOrder
from projections.read_models.reader import Reader
from projections.sql.event_store import EventStoreSql
from projections.sql.hand_outs import HandOutsSql

PersonState = Literal[
    "queued",
    "sent",
    "reminded",
    "redeemed",
    "bounced",
    "refused",
    "unknown",
    "opted_out",
    "suppressed",
    "expired",
    "not_sent",
]
"""The state of a recipient of a hand-out.

`queued`: no email yet. `refused`: the mail server refused it. `unknown`: it may or may not be sent. `suppressed`: the
address bounced or complained before, and is not written to. `expired`: the code ended unredeemed. `not_sent`: the
hand-out ended before, or its codes expired.
"""
Obstacle = Literal["campaign_paused", "campaign_full"]
"""Why a running hand-out sends nothing: its codes could not be redeemed."""
VALUES_SLICE: Final = 2_000
"""Recipients whose values are decrypted at once."""
PERSON_STATES: Final[tuple[PersonState, ...]] = get_args(PersonState)
_NO_EMAIL_HELPS: Final[frozenset[PersonState]] = frozenset(
    {"redeemed", "expired", "not_sent", "opted_out", "suppressed"}
)
_STATE_OF_MAIL: Final[dict[MailState, PersonState]] = {
    "queued": "queued",
    "sent": "sent",
    "failed": "refused",
    "unknown": "unknown",
    "skipped": "opted_out",
    "bounced": "bounced",
}


class HandOutDetails(NamedTuple):
    """A hand-out with the event that created it, which has its name and terms."""

    hand_out: HandOut
    created_at: datetime
    changed_at: datetime
    created: HandOutCreated

    def state_at(self, now: datetime, *, is_campaign_over: bool) -> HandOutState:
        """Return its state at a time; the end of its campaign ends it."""
        return "ended" if is_campaign_over else self.hand_out.state_at(now)

    def issues_no_code(self, now: datetime, *, is_campaign_over: bool) -> bool:
        """Return whether recipients without a code get none any more: it ended, or its codes would be expired."""
        return self.state_at(now, is_campaign_over=is_campaign_over) == "ended" or self.has_expired(now)

    def has_expired(self, now: datetime) -> bool:
        """Return whether codes that it would issue now would be expired."""
        expires_at = self.created.terms.expires_at
        return expires_at is not None and expires_at <= now


class HandOutProgress(NamedTuple):
    """A hand-out, its campaign, how many recipients are in each state, and its own texts by language.

    Attributes:
        resends: Those in the state `queued` who have had an email before.
        codes: Codes of all recipients.
        waiting_codes: Codes of those who get their first email and have none yet.
    """

    details: HandOutDetails
    campaign: Campaign
    counts: Mapping[PersonState, int]
    resends: int
    codes: int
    waiting_codes: int
    texts: Mapping[Language, HandOutText]

    @property
    def mailing(self) -> Mailing:
        """Rate and texts of its emails."""
        return Mailing(per_minute=self.details.hand_out.per_minute, texts=self.texts)

    def find_obstacle(self, now: datetime) -> Obstacle | None:
        """Return why it sends nothing although it runs; None if it is not running, or sends."""
        if self.details.state_at(now, is_campaign_over=self.campaign.has_ended(now)) != "running":
            return None
        if self.campaign.is_paused:
            return "campaign_paused"
        left = self.campaign.available
        return "campaign_full" if left is not None and left <= len(self.campaign.waiting) else None

    def is_finished(self, now: datetime) -> bool:
        """Return whether it runs and has nothing left to send; a list that is added makes it send again."""
        state = self.details.state_at(now, is_campaign_over=self.campaign.has_ended(now))
        return state == "running" and self.people > 0 and not self.counts["queued"]

    @property
    def waiting(self) -> int:
        """Recipients who get their first email and have none yet."""
        return self.counts["queued"] - self.resends

    @property
    def processed(self) -> int:
        """Recipients whose first email ended in any way, or who want none: a resend does not lower it."""
        return self.people - self.waiting - self.counts["not_sent"]

    @property
    def people(self) -> int:
        """All recipients of its list."""
        return sum(self.counts.values())


class PeopleCount(NamedTuple):
    """How many recipients are in each state, and how many of the queued ones have had an email before.

    `codes`: those of all recipients. `waiting_codes`: those of queued recipients who have had no email.
    """

    states: dict[PersonState, int]
    resends: int
    codes: int
    waiting_codes: int


class PersonFacts(NamedTuple):
    """What the state of a recipient follows from. `mail` and `mail_state`: None while no code is issued."""

    mail: int | None
    mail_state: MailState | None
    reminder: int | None
    is_redeemed: bool
    is_over: bool
    has_opted_out: bool
    is_suppressed: bool

    @property
    def key(self) -> str:
        """The facts as the statement `list_people` writes them."""
        reminder = "none" if self.reminder is None else "newest" if self.reminder == self.mail else "earlier"
        flags = (
            "t" if flag else "f" for flag in (self.is_redeemed, self.is_over, self.has_opted_out, self.is_suppressed)
        )
        return " ".join((self.mail_state or "none", reminder, *flags))


class Person(NamedTuple):
    """One recipient of a hand-out.

    Attributes:
        number: Place in the list; not without gaps.
        code_id: The code that is, or will be, issued for them; the first one of several.
        mail: Number of the newest email; 0 while none is queued.
        address: Their email address; None if the row of the vault is broken.
        has_opted_out: Whether they want no such emails of the hand-out's group.
        codes: How many codes they get.
        redeemed: How many of these were redeemed.
    """

    number: int
    code_id: UUID
    recipient_id: UUID
    language: Language
    state: PersonState
    mail: int
    handed_out_at: datetime | None
    changed_at: datetime | None
    address: str | None
    has_opted_out: bool
    codes: int
    redeemed: int

    @property
    def may_get_email(self) -> bool:
        """Whether an email that staff ask for can help: the code may be redeemed, and the address gets emails."""
        return not self.has_opted_out and self.state not in _NO_EMAIL_HELPS

    @property
    def may_have_bounced(self) -> bool:
        """Whether an email was sent, or may have been, and no use or end makes its bounce irrelevant."""
        return self.state in {"sent", "reminded", "unknown"}


class ListPlace(NamedTuple):
    """A row of a list. `number` rises with each row that is stored in any list."""

    number: int
    hand_out_id: UUID
    code_id: UUID


def state_of_person(facts: PersonFacts, *, is_ended: bool) -> PersonState:
    """Return the state of a recipient. `is_ended`: the hand-out issues no further code."""
    if facts.mail_state is None:
        if facts.has_opted_out:
            return "opted_out"
        if facts.is_suppressed:
            return "suppressed"
        return "not_sent" if is_ended else "queued"
    if facts.is_redeemed:
        return "redeemed"
    if facts.is_over:
        return "expired"
    if facts.reminder is not None:
        if facts.mail_state == "sent":
            return "reminded"
        if facts.reminder == facts.mail and facts.mail_state != "bounced":
            return "sent"
    return _STATE_OF_MAIL[facts.mail_state]


def list_facts_of_state(state: PersonState, *, is_ended: bool, is_campaign_over: bool) -> list[str]:
    """Return the keys of all facts of rows from which a state follows."""
    newest, flags = 2, (False, True)
    every = product((None, *get_args(MailState)), (None, newest - 1, newest), *repeat(flags, 4))
    return [
        facts.key
        for facts in (PersonFacts(newest, *each) for each in every)
        if state_of_person(facts._replace(is_over=facts.is_over or is_campaign_over), is_ended=is_ended) == state
    ]


class HandOutReader:
    """Reads hand-outs and their recipients."""

    def __init__(self, storage: ReadableStore) -> None:
        self._storage, self._db = storage, Database(storage)

    def find_hand_out(self, hand_out_id: UUID) -> HandOutDetails | None:
        """Return one hand-out; None if there is none with this id."""
        rows = self._db.fetch_all(HandOutsSql.hand_out_with_terms, hand_out_id)
        return _details(rows[0]) if rows else None

    def list_hand_outs(
        self, campaign_id: UUID, place: ListCursor, limit: int, order: ListOrder = "oldest"
    ) -> list[HandOutDetails]:
        """Return one page of the hand-outs of a campaign behind a place, by the time of creation."""
        statements = {
            "newest": HandOutsSql.newest_hand_outs_of_campaign,
            "oldest": HandOutsSql.hand_outs_of_campaign,
        }
        return [_details(row) for row in self._db.fetch_all(statements[order], campaign_id, *place, limit)]

    def find_names(self, ids: Sequence[UUID]) -> dict[UUID, str]:
        """Return the names of those of these hand-outs that exist."""
        rows = self._db.fetch_all(HandOutsSql.hand_outs_of_ids, list(ids)) if ids else []
        return {details.hand_out.hand_out_id: details.created.name for details in map(_details, rows)}

    def count_listed(self, hand_outs: Sequence[HandOutDetails], listed_max: int) -> int:
        """Return how many of these hand-outs, from the first, have at most so many recipients together."""
        ids = [each.hand_out.hand_out_id for each in hand_outs]
        return int(self._db.fetch_named(HandOutsSql.count_listed, hand_out_ids=ids, most=listed_max)[0][0])

    def count_people(
        self, hand_outs: Sequence[HandOutDetails], now: datetime, *, is_campaign_over: bool
    ) -> list[PeopleCount]:
        """Return for each of these hand-outs how many recipients are in each state; states without any are 0."""
        counts: dict[UUID, dict[PersonState, int]] = {
            each.hand_out.hand_out_id: dict.fromkeys(PERSON_STATES, 0) for each in hand_outs
        }
        resends, codes, waiting_codes = (dict.fromkeys(counts, 0) for _ in range(3))
        ended = {
            each.hand_out.hand_out_id
            for each in hand_outs
            if each.issues_no_code(now, is_campaign_over=is_campaign_over)
        }
        rows = self._db.fetch_named(
            HandOutsSql.count_people, hand_out_ids=list(counts), groups=[_group(each) for each in hand_outs], now=now
        )
        for hand_out_id, mail, mail_state, reminder, is_redeemed, is_expired, is_revoked, *more in rows:
            has_opted_out, is_suppressed, count, codes_of_lines = more
            facts = PersonFacts(
                mail,
                mail_state,
                reminder,
                bool(is_redeemed),
                bool(is_expired) or is_revoked or is_campaign_over,
                has_opted_out,
                is_suppressed,
            )
            state = state_of_person(facts, is_ended=hand_out_id in ended)
            counts[hand_out_id][state] += count
            codes[hand_out_id] += codes_of_lines
            if state == "queued" and mail is not None and mail > 1:
                resends[hand_out_id] += count
            elif state == "queued":
                waiting_codes[hand_out_id] += codes_of_lines
        ids = [each.hand_out.hand_out_id for each in hand_outs]
        return [PeopleCount(counts[key], resends[key], codes[key], waiting_codes[key]) for key in ids]

    def list_people(
        self,
        details: HandOutDetails,
        after: int,
        limit: int,
        now: datetime,
        *,
        is_campaign_over: bool,
        state: PersonState | None = None,
    ) -> list[Person]:
        """Return one page of recipients in a state, or in any, in the order of the list, after a number."""
        is_ended = details.issues_no_code(now, is_campaign_over=is_campaign_over)
        rows = self._db.fetch_named(
            HandOutsSql.list_people,
            hand_out_id=details.hand_out.hand_out_id,
            group=_group(details),
            after=after,
            limit=limit,
            now=now,
            facts=None
            if state is None
            else list_facts_of_state(state, is_ended=is_ended, is_campaign_over=is_campaign_over),
        )
        return self._people(details, rows, now, is_campaign_over=is_campaign_over)

    def find_person(
        self, details: HandOutDetails, code_id: UUID, now: datetime, *, is_campaign_over: bool
    ) -> Person | None:
        """Return the recipient of a code; None if the list of the hand-out does not have them."""
        rows = self._db.fetch_named(
            HandOutsSql.person_of_code,
            hand_out_id=details.hand_out.hand_out_id,
            group=_group(details),
            code_id=code_id,
            now=now,
        )
        people = self._people(details, rows, now, is_campaign_over=is_campaign_over)
        return people[0] if people else None

    def find_code_of_address(self, hand_out_id: UUID, address: EmailAddress) -> UUID | None:
        """Return the id of the code for an email address of a list; None if the list does not have it."""
        digests = self._storage.vault.compute_digests("recipient", address.normal)
        recipients = self._db.fetch_all(EventStoreSql.recipient_ids_of_digests, list(digests))
        rows = self._db.fetch_all(HandOutsSql.code_of_recipient, [row[1] for row in recipients], hand_out_id)
        return rows[0][0] if rows else None

    def find_place_of_code(self, code_id: UUID) -> tuple[UUID, UUID] | None:
        """Return the hand-out that issued a code, and its recipient; None for other codes."""
        rows = self._db.fetch_all(HandOutsSql.place_of_code, code_id)
        return (rows[0][0], rows[0][1]) if rows else None

    def list_codes_of_line(self, line_id: UUID) -> list[UUID]:
        """Return the codes of a line, which has the id of its first code; none for another id, or until all exist."""
        return [code_id for (code_id,) in self._db.fetch_all(HandOutsSql.codes_of_line, line_id, line_id, line_id)]

    def list_places(self, recipient_id: UUID, before: int, limit: int) -> list[ListPlace]:
        """Return one page of the rows of a recipient in all lists, newest first, before a number."""
        rows = self._db.fetch_all(HandOutsSql.places_of_recipient, recipient_id, before, limit)
        return [ListPlace(*row) for row in rows]

    def count_places(self, recipient_id: UUID) -> int:
        """Return how many rows of lists a recipient has: one for each campaign that sends them a code."""
        return int(self._db.fetch_all(HandOutsSql.count_places_of_recipient, recipient_id)[0][0])

    def count_missing_values(
        self, hand_out_id: UUID, names: Mapping[Language, Collection[str]]
    ) -> dict[tuple[Language, str], tuple[int, bool]]:
        """Return how many queued recipients of a language have no value for a variable, and whether all lack it.

        A recipient of a list without such a column lacks it; one whose cell is empty only has no value.

        Args:
            hand_out_id: The hand-out.
            names: The variables that are looked at, by language; those with a value for each recipient are left out.
        """
        missing: Counter[tuple[Language, str]] = Counter()
        absent: Counter[tuple[Language, str]] = Counter()
        people: Counter[Language] = Counter()
        after = 0
        while any(names.values()) and (
            rows := self._db.fetch_all(HandOutsSql.values_of_queued, hand_out_id, after, VALUES_SLICE)
        ):
            after = rows[-1][0]
            for _, code_id, language, sealed, key_id in rows:
                text = None if sealed is None else self._storage.vault.open_text(code_id, sealed, key_id)
                values = {} if text is None else orjson.loads(text)
                people[language] += 1
                missing.update((language, name) for name in names.get(language, ()) if not values.get(name))
                absent.update((language, name) for name in names.get(language, ()) if name not in values)
        return {each: (count, absent[each] == people[each[0]]) for each, count in missing.items()}

    def find_texts(self, hand_out_ids: Sequence[UUID]) -> list[dict[Language, HandOutText]]:
        """Return for each of these hand-outs its own texts by language; none are empty."""
        texts = texts_by_hand_out(self._db.fetch_all(EventStoreSql.texts_of_hand_outs, list(hand_out_ids)))
        return [texts.get(hand_out_id, {}) for hand_out_id in hand_out_ids]

    def _people(
        self, details: HandOutDetails, rows: Sequence[tuple[Any, ...]], now: datetime, *, is_campaign_over: bool
    ) -> list[Person]:
        addresses = Reader(self._storage).find_recipients([row[2] for row in rows])
        is_ended = details.issues_no_code(now, is_campaign_over=is_campaign_over)
        people = []
        for row in rows:
            number, code_id, recipient_id, language, _, mail, mail_state, reminder, handed_out_at, changed_at = row[:10]
            uses, expires_at, is_revoked, codes, redeemed, has_opted_out, is_suppressed = row[10:]
            is_over = is_revoked or is_campaign_over or (expires_at is not None and expires_at <= now)
            facts = PersonFacts(mail, mail_state, reminder, uses > 0, is_over, has_opted_out, is_suppressed)
            people.append(
                Person(
                    number,
                    code_id,
                    recipient_id,
                    language,
                    state_of_person(facts, is_ended=is_ended),
                    mail or 0,
                    handed_out_at,
                    changed_at,
                    getattr(addresses.get(recipient_id), "typed", None),
                    has_opted_out,
                    codes,
                    redeemed,
                )
            )
        return people


def _group(details: HandOutDetails) -> str:
    return details.created.group or ""


def _details(row: tuple[Any, ...]) -> HandOutDetails:
    hand_out_id, campaign_id, state, starts_at, created_at, changed_at, topic, event, rate_topic, rate_event = row
    created = cast("HandOutCreated", decode(topic, bytes(event)))
    per_minute = created.per_minute if rate_topic is None else read_rate(rate_topic, rate_event)
    hand_out = build_hand_out(hand_out_id, campaign_id, state, starts_at, per_minute)
    return HandOutDetails(hand_out, created_at, changed_at, created)
