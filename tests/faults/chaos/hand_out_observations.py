"""What a run did to hand-outs and what it led to, as plain facts. A trigger notes each claim, since rows keep none."""

import csv
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Self

import psycopg

from tests.faults.chaos.faulty_mail_server import Arrival, FaultyMailServer
from tests.faults.rigs.retries import retry
from tests.support.servers.embedded_stack import Stack
from tests.support.waiting import WAIT_S_MAX

HELD_S = 10
"""After the last fault, no worker holds a row longer: the mail server answers, and timeouts are 2 s."""
TRIGGER = """
    -- By the time of the machine, as everything that a run observes, also while the ledger's clock is ahead.
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.claims (code_id uuid, hand_out_id uuid, at timestamptz, is_asked boolean);
    CREATE FUNCTION chaos.note_claim() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO chaos.claims VALUES (new.code_id, new.hand_out_id, pg_catalog.now(), old.is_asked);
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_claim AFTER UPDATE ON hand_out_recipients
        FOR EACH ROW WHEN (new.attempts = old.attempts + 1) EXECUTE FUNCTION chaos.note_claim();
"""
END_LEASES = """
    UPDATE hand_out_recipients r SET due_at = now() WHERE due_at > now() AND NOT EXISTS (
        SELECT FROM chaos.claims c WHERE c.code_id = r.code_id AND c.at > pg_catalog.now() - make_interval(secs => %s)
    )
"""
UNFINISHED = """
    SELECT count(*) FROM hand_out_recipients JOIN hand_out_uploads USING (upload_id)
    WHERE due_at IS NOT NULL AND ended_at IS NOT NULL
"""
CLAIMS = (
    "SELECT code_id::text, hand_out_id::text, extract(epoch FROM at)::float8, is_asked FROM chaos.claims ORDER BY at"
)
LINE_CODES, LINES_WITH_SEVERAL = 3, 4
"""Codes of a line with several, and one of how many addresses has such lines."""
MESSAGE_ID = re.compile(r"<([0-9a-f-]+)\.code-(\d+)@")


def count_codes(address: str) -> int:
    """Return how many codes the lines of an address have."""
    number = int("".join(filter(str.isdigit, address)))
    return 1 if number % LINES_WITH_SEVERAL else LINE_CODES


@dataclass(frozen=True, slots=True)
class RowClaim:
    """A worker took a row of a list, in a transaction that began at a time. `is_asked`: staff asked for the email."""

    code_id: str
    hand_out_id: str
    at: float
    is_asked: bool = False


@dataclass(frozen=True, slots=True)
class CodeEmail:
    """An email with a code that the mail server accepted at a time; one that was sent twice is here twice.

    Attributes:
        code: The code; of a line with several, all of them, as its file has them. `link` likewise.
        ends: When the codes of such a file end.
    """

    at: float
    address: str
    message_id: str
    code: str
    link: str
    opt_out_link: str
    subject: str
    ends: tuple[str, ...] = ()

    @property
    def code_id(self) -> str:
        return self._reference[0]

    @property
    def number(self) -> int:
        return int(self._reference[1])

    @property
    def _reference(self) -> tuple[str, str]:
        matched = MESSAGE_ID.match(self.message_id)
        assert matched, self.message_id
        return matched[1], matched[2]

    @classmethod
    def read(cls, arrival: Arrival) -> Self:
        message = arrival.received.message
        files = [part.get_content() for part in message.iter_attachments()]
        rows = [row for file in files for row in csv.DictReader(file.splitlines())]
        if not rows:
            body = message.get_body(("plain",))
            matched = re.search(r"https?://\S+code=([\w-]+)", "" if body is None else body.get_content())
            assert matched, message
            rows = [{"code": matched[1], "link": matched[0]}]
        return cls(
            at=arrival.at,
            address=arrival.received.recipient,
            message_id=str(message["Message-ID"]),
            code=" ".join(row["code"] for row in rows),
            link=" ".join(row["link"] for row in rows),
            ends=tuple(row["ends_at"] for row in rows if files),
            opt_out_link=str(message["List-Unsubscribe"]).strip("<>"),
            subject=str(message["Subject"]),
        )


@dataclass(frozen=True, slots=True)
class Pause:
    """A hand-out was paused from an acknowledgement until staff asked to resume it."""

    hand_out_id: str
    acknowledged_at: float
    resumed_at: float


@dataclass(slots=True)
class SubjectPeriod:
    """A subject that emails could have, from its request to the acknowledgement of the next. None: the ledger's."""

    hand_out_id: str
    subject: str | None
    begins_at: float
    ends_at: float = float("inf")


@dataclass(frozen=True, slots=True)
class ListedRecipient:
    """What the API says of a recipient who was added to a list; an empty state if it knows none."""

    hand_out_id: str
    address: str
    code_id: str
    state: str


@dataclass(slots=True)
class HandOutObservations:
    """Everything that the checker of hand-outs looks at.

    Attributes:
        actions: How often each action of staff and recipients was answered with a success.
        listed: Hand-outs and addresses whose addition was acknowledged.
        valid_days: Days from the hand-out of a code to its end, by hand-out.
        opt_outs: When recipients asked to opt out, and when that was acknowledged, by address.
        suppressed: Addresses that get no more emails because of what was reported.
        leases_ended: When leases were ended as if their time had passed.
        clock_ahead: From when to when the database's clock was ahead.
        defects: What staff saw that must not be.
    """

    actions: Counter[str] = field(default_factory=Counter)
    listed: set[tuple[str, str]] = field(default_factory=set)
    valid_days: dict[str, int] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)
    subjects: list[SubjectPeriod] = field(default_factory=list)
    opt_outs: dict[str, tuple[float, float]] = field(default_factory=dict)
    suppressed: set[str] = field(default_factory=set)
    leases_ended: list[float] = field(default_factory=list)
    clock_ahead: list[tuple[float, float]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    claims: Sequence[RowClaim] = ()
    emails: Sequence[CodeEmail] = ()
    recipients: Sequence[ListedRecipient] = ()

    def lines(self) -> Iterator[str]:
        done = ", ".join(f"{name} {count}" for name, count in sorted(self.actions.items()))
        numbers = len(self.recipients), len(self.claims), len(self.emails)
        yield "{} recipients of hand-outs, {} claims, {} emails; ".format(*numbers) + done


class ClaimWatch:
    """Notes claims of a ledger's hand-outs from now on."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        with psycopg.connect(self._url, connect_timeout=5) as conn:
            conn.execute(TRIGGER)

    def finish(self, seen: HandOutObservations) -> None:
        """Wait until no email is due, and let the time of leases and retries pass."""
        if not retry(partial(self._is_finished, seen)):
            seen.defects.append(f"emails that are due after {WAIT_S_MAX} s")

    def _is_finished(self, seen: HandOutObservations) -> bool:
        with psycopg.connect(self._url, connect_timeout=5) as conn:
            if conn.execute(UNFINISHED).fetchone() == (0,):
                return True
            if conn.execute(END_LEASES, [HELD_S]).rowcount:
                seen.leases_ended.append(time.time())
        return False

    def read(self) -> list[RowClaim]:
        with psycopg.connect(self._url, connect_timeout=5) as conn:
            return [RowClaim(*row) for row in conn.execute(CLAIMS)]


def observe_hand_outs(stack: Stack, watch: ClaimWatch, seen: HandOutObservations, mail: FaultyMailServer) -> None:
    """Complete what the load noted by what the database, the mail server and the API say."""
    seen.claims = watch.read()
    seen.emails = [CodeEmail.read(arrival) for arrival in mail.code_emails()]
    seen.recipients = [_find_recipient(stack, *place) for place in sorted(seen.listed)]


def _find_recipient(stack: Stack, hand_out_id: str, address: str) -> ListedRecipient:
    status, page = stack.call("GET", f"/api/v1/hand-outs/{hand_out_id}/recipients?email={address}", headers=stack.admin)
    matched: Sequence[Mapping[str, Any]] = page["recipients"] if status == HTTPStatus.OK else ()
    if len(matched) != 1:
        return ListedRecipient(hand_out_id, address, "", "")
    return ListedRecipient(hand_out_id, address, str(matched[0]["code_id"]), str(matched[0]["state"]))
