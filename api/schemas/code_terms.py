"""How people, files and programs write the terms of a code: one row for each term of `CodeTerms`, for every door.

Command-line options, form fields, columns of files, fields of requests and responses, tables and sentences loop over
these rows. Texts of pages and sentences are in the catalogs terms.po, by the name of the term.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, Literal

from msgspec.structs import asdict, fields

from domain.events.campaign import CampaignTerms
from domain.events.code_terms import BOUNDS, DOMAIN_TERMS, SINGLE_USE, CodeTerms
from domain.values.domain_display import show_domains
from domain.values.email_domains import DOMAINS_LENGTH_MAX, DomainNames, split_domains
from domain.values.group_name import NAME_LENGTH_MAX
from domain.values.limits.thresholds import THRESHOLDS_LENGTH_MAX, Thresholds, list_thresholds
from domain.values.number_bounds import DURATION_LENGTH_MAX, Bounds, format_days
from domain.values.quiet_hours import TEXT_LENGTH_MAX as HOURS_MAX
from domain.values.timestamps import TEXT_LENGTH_MAX, in_utc

TermKind = Literal["number", "days", "timestamp", "group", "domains", "hours", "thresholds", "choice"]
Term = int | datetime | str | None
"""The value of a term."""
KINDS: Final[Mapping[object, TermKind]] = {
    int | None: "number",
    datetime | None: "timestamp",
    str | None: "group",
    DomainNames | None: "domains",
    Thresholds | None: "thresholds",
}
"""What the value of a term is, by its type. The row of a text may say that it is something else."""
FIRST_TERMS: Final = frozenset({"max_uses", "expires_at", "validity_days", "group", "rebinds_max"})
"""Terms that every client knows. Never add one: older clients leave it out when they replace all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermFormat:
    """How one term is written.

    Attributes:
        name: In `CodeTerms`; also the column of a file and the field of a request, response or form.
        option: On the command line.
        none_word: How commands and files write None; empty where nothing is written for it.
        means: What the value is, for help texts.
        api_none: What null means, for the API's documentation; empty where that is plain.
        needs_words: Pages say something where the term bounds nothing.
        must_lie_ahead: A form refuses a time in the past.
        text_kind: What the value of a text is; its own check is among those of the terms in the domain.
        choices: The only words that a value may be, besides that for None.
        api_names: Its names in requests and responses of the API and in files of configuration, if it has others than
            `name`; the first one is documented.
        is_duration: Whether a number is days, which the API and the command line write as an ISO 8601 duration.
        is_rare: Few codes have it, so forms show it after a click.
    """

    TYPES: ClassVar[Mapping[str, object]] = {field.name: field.type for field in fields(CodeTerms)}
    TERM_BOUNDS: ClassVar[Mapping[str, Bounds]] = BOUNDS
    DEFAULTS: ClassVar[Mapping[str, Term]] = asdict(SINGLE_USE)

    name: str
    option: str
    none_word: str
    means: str
    api_none: str = ""
    needs_words: bool = False
    must_lie_ahead: bool = False
    text_kind: TermKind = "group"
    choices: tuple[str, ...] = ()
    api_names: tuple[str, ...] = ()
    is_duration: bool = False
    is_rare: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Its names in requests and responses."""
        return self.api_names or (self.name,)

    @property
    def kind(self) -> TermKind:
        """What the value is."""
        if self.choices:
            return "choice"
        if self.is_duration:
            return "days"
        kind = KINDS[self.TYPES[self.name]]
        return self.text_kind if kind == "group" else kind

    @property
    def bounds(self) -> Bounds:
        """The bounds of a number."""
        return self.TERM_BOUNDS[self.name]

    @property
    def default(self) -> Term:
        """The value where a new code names none."""
        return self.DEFAULTS[self.name]

    @property
    def length_max(self) -> int:
        """The longest text that a value has."""
        if self.kind == "number":
            return len(str(self.bounds.most))
        if self.kind == "choice":
            return max(map(len, self.words))
        lengths: dict[TermKind, int] = {
            "group": NAME_LENGTH_MAX,
            "days": DURATION_LENGTH_MAX,
            "domains": DOMAINS_LENGTH_MAX,
            "hours": HOURS_MAX,
            "thresholds": THRESHOLDS_LENGTH_MAX,
        }
        return lengths.get(self.kind, TEXT_LENGTH_MAX)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of a choice, that for None first."""
        return (self.none_word, *self.choices)

    def text(self, value: Term) -> str:
        """Write a value as people type it, so that a form which holds it leads to the same value; nothing for None."""
        if isinstance(value, datetime):
            return in_utc(value).isoformat(timespec="seconds").removesuffix("+00:00")
        if self.kind == "domains" and isinstance(value, str):
            return show_domains(DomainNames(value))
        if self.kind == "days" and isinstance(value, int):
            return format_days(value)
        return "" if value is None else str(value)


TERMS: Final = (
    TermFormat(
        name="max_uses",
        option="--max-uses",
        none_word="unlimited",
        means="Uses per code",
        api_none="without limit",
        needs_words=True,
    ),
    TermFormat(
        name="starts_at",
        option="--starts-at",
        none_word="now",
        means="Start of redemption (ISO 8601, UTC by default)",
        api_none="from the issue of the code",
        is_rare=True,
    ),
    TermFormat(
        name="expires_at",
        option="--expires-at",
        none_word="never",
        means="Expiry time (ISO 8601, UTC by default)",
        api_none="never",
        needs_words=True,
        must_lie_ahead=True,
    ),
    TermFormat(
        name="validity_days",
        option="--validity-days",
        none_word="unlimited",
        means="Days of access after the invitation",
        api_none="without end",
    ),
    TermFormat(name="group", option="--group", none_word="", means="Group that recipients are invited to"),
    TermFormat(
        name="rebinds_max",
        option="--rebinds",
        none_word="usual",
        means="Number of times that an access grant may move to another group",
        api_none="as often as usual",
        is_rare=True,
    ),
    TermFormat(
        name="allowed_domains",
        option="--allowed-domains",
        none_word="any",
        means="Only domains of email addresses that may redeem; *.example.com for all subdomains",
        api_none="every domain",
        is_rare=True,
    ),
    TermFormat(
        name="denied_domains",
        option="--denied-domains",
        none_word="none",
        means="Domains of email addresses that may not redeem, even if allowed; *.example.com for all subdomains",
        api_none="no domain",
        is_rare=True,
    ),
    TermFormat(
        name="notify_at",
        option="--notify-at",
        none_word="none",
        means="Thresholds of the limit and before the end that are reported, such as 80%, 10 left, 7 days, end",
        api_none="no threshold",
        is_rare=True,
    ),
)
"""Every term, in the order of `CodeTerms`."""
NONE_WORDS: Final = {term.name: term.none_word for term in TERMS}
"""How commands and files write None, by term."""


def document_of_terms(terms: CodeTerms | CampaignTerms) -> dict[str, object]:
    """Return terms by their names as JSON has them: a set of domains, and thresholds, are a list, days a duration."""
    document: dict[str, object] = asdict(terms)
    for name in DOMAIN_TERMS:
        domains: DomainNames | None = getattr(terms, name)
        document[name] = None if domains is None else split_domains(domains)
    document["notify_at"] = None if terms.notify_at is None else list_thresholds(terms.notify_at)
    if isinstance(terms, CampaignTerms):
        del document["valid_for_days"]
        document["valid_for"] = None if terms.valid_for_days is None else format_days(terms.valid_for_days)
    return document
