"""What a run reported about emails and what the ledger answered, as plain facts. Emails are named by Message-IDs."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from tests.faults.chaos.faulty_mail_server import Arrival

MESSAGE_ID = re.compile(r"<([0-9a-f-]+)\.(code-)?(\d+)@")


class EmailId(NamedTuple):
    """An invitation, by its reservation and delivery; or an email with a code, by the code and its number."""

    is_of_code: bool
    subject_id: str
    number: int

    @classmethod
    def read(cls, message_id: str) -> Self | None:
        """Return the email of a Message-ID; None for a notice."""
        matched = MESSAGE_ID.match(message_id)
        return None if matched is None else cls(matched[2] is not None, matched[1], int(matched[3]))


class ArrivedEmail(NamedTuple):
    """An email that the mail server accepted at a time; one that was sent twice is here twice."""

    at: float
    email: EmailId
    address: str

    @classmethod
    def read(cls, arrival: Arrival) -> Self | None:
        """Read it from what the mail server accepted; None for a notice."""
        email = EmailId.read(str(arrival.received.message["Message-ID"]))
        return None if email is None else cls(arrival.at, email, arrival.received.recipient)


class AcknowledgedReport(NamedTuple):
    """A report with a valid token that the ledger has accepted at a time: exit code 0, or a status of success."""

    at: float
    email: EmailId
    kind: str
    address: str


class RepeatedRedeem(NamedTuple):
    """What a recipient was answered who redeemed another code after an acknowledged report about their address."""

    address: str
    answer: str


@dataclass(slots=True)
class ReportObservations:
    """Everything that the checker of reports looks at.

    Attributes:
        begun: Reports with a valid token that the ledger may have seen, acknowledged or not.
        acknowledged: The first acknowledgement of each report.
        answers: How often each answer of the ledger came, by way in.
        variants: How often reports came twice, late, or without a valid token or signature.
        defects: Answers that must not be.
    """

    begun: set[tuple[EmailId, str]] = field(default_factory=set)
    acknowledged: list[AcknowledgedReport] = field(default_factory=list)
    redeems: list[RepeatedRedeem] = field(default_factory=list)
    emails: Sequence[ArrivedEmail] = ()
    answers: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        kinds = Counter(
            f"{'code' if each.email.is_of_code else 'invitation'} {each.kind}" for each in self.acknowledged
        )
        for title, counts in (
            (f"{len(self.acknowledged)} reports acknowledged", kinds),
            ("  of all that were handed in", self.variants),
            ("  answers to them", self.answers),
        ):
            yield f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
