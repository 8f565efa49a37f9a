"""The catalogs are complete, agree with each other, and hold no text that is not used."""

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from string import Formatter
from typing import Final, get_args

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po

from api.auth.scopes import SCOPES
from api.code_import.faults import FileProblem, ListProblem, RecordProblem
from api.code_import.row_parser import COLUMNS
from api.errors import ERROR_CODES
from api.i18n.audit_details import VALUE_NAMES
from api.i18n.catalogs import LOCALES, CatalogError, catalog_paths, read_catalog, translate, translator
from api.i18n.languages import LANGUAGES
from api.schemas.campaign_terms import CAMPAIGN_TERMS
from api.schemas.code_terms import TERMS
from api.schemas.parsing import InvalidReason
from api.use_cases.administration.create_api_key import ReplaceProblem
from api.use_cases.approvals.guarded_actions import FactName
from api.web.admin.api_keys.key_form import ENDS as KEY_ENDS
from api.web.admin.campaign_form import BLAMED_FIELD
from api.web.admin.group_channel import FIELD_ERRORS
from api.web.forms import TIMESTAMP_FAULTS
from domain.errors import CampaignConflict
from domain.events.campaign import CAMPAIGN_TERM_NAMES, CampaignContradiction, Counting
from domain.events.code_terms import TERM_NAMES, Contradiction
from domain.events.event import LateEffect, RefundCause
from domain.events.waiting_list import LeaveCause, OfferMailOutcome
from domain.model.reservation import PublicState
from domain.ports import Language
from domain.values.group_name import GroupFault
from domain.values.mail.bounce_reason import BounceReason
from domain.values.timestamps import EARLIEST, LATEST
from domain.webhooks.target_url import TargetFault
from projections.config.approvals import ApprovalKind
from projections.repositories.approvals import ApprovalState
from projections.repositories.audit_log import AuditAction
from projections.repositories.group_channels import CallbackRefusal
from projections.repositories.webhook_endpoints import EndpointState
from tests.architecture.sources import parse
from tests.architecture.vocabulary import RETIRED
from workers.channels.registry import channel_kinds

API: Final = LOCALES.parents[1]
WORDS_OF_VALUES: Final = {"hint", "moment", "told", "tried"}
"""Words of keys that are values of the code: help texts of fields, faults of forms, and effects of events."""
CAUSES: Final = get_args(RefundCause)
STATES: Final = get_args(PublicState)
FAILURES: Final = (
    *("address_refused", "message_refused", "temporary", "unreachable", "login_refused"),
    *("tls_failed", "protocol_error", "bad_address", "recipient_forgotten", "target_refused"),
    "address_mismatch",
)
"""Reasons of an InviteFailed: those of `domain.ports.Rejected`, and that of a person who was forgotten."""
DOUBTS: Final = ("connection_lost", "timeout", "bad_reply", "said_unknown", "lease_expired")
"""Causes of an InviteOutcomeUnknown: those of `domain.ports.OutcomeUnknown`, and that of time."""
CASES: Final = (
    "unknown_outcome",
    "no_free_use",
    "bound_to_another",
    "newer_reservation",
    "corrected_meanwhile",
    "bounced",
    *("resend_failed", "resend_expired", "resend_unknown", "removal_failed", "grant_ended"),
    "address_mismatch",
)
"""Causes of a CaseOpened."""
ENDS: Final = (
    "resolved_sent",
    "resolved_refunded",
    "tried_again",
    "sent_again",
    "corrected",
    "removed_by_hand",
    "removed",
)
"""How a case is closed by a decision."""
OPENINGS: Final = ("in_doubt", "unknown_status", "bad_email", "unproven", "stated")
"""Why uses are taken over that no invitation stands for."""
GIVEN_BACK: Final = ("deadline", "failed", "address_refused", "revoked", "grant_ended", "other")
"""Why a rebind is refunded, as far as it has words of its own."""
OF_REBINDS: Final = (
    *("InviteSent", "InviteSent.proved", "InviteSent.reported", "InviteSent.resolved", "LateSuccessRecorded.retaken"),
)
"""Sentences that are others where no use is counted."""
FIELD_FAULTS: Final = {
    *("ends", "ends_and_time"),
    *get_args(FileProblem),
    *("moment" if reason in TIMESTAMP_FAULTS else reason for reason in get_args(InvalidReason)),
    *get_args(Contradiction),
    *get_args(CampaignContradiction),
    *BLAMED_FIELD,
    *(f"below_{limit}" for limit in {*CampaignConflict.reasons} & {*CAMPAIGN_TERM_NAMES}),
    # `FormFields.text` reports the other two first.
    *(f"campaign_{why}" for why in {*get_args(GroupFault)} - {"length", "signs"}),
    *FIELD_ERRORS.values(),
    *(f"target.{why}" for why in get_args(TargetFault)),
}
"""What may be wrong with a field of a form, as far as no page writes it out."""

FAMILIES: Final = {
    *(f"event.UseRefunded.rebind.{cause}" for cause in GIVEN_BACK),
    *(f"event.{name}.rebind" for name in OF_REBINDS),
    *(f"event.{name}.notice" for name in ("InviteBounced.other", "InviteDelayed", "InviteComplained")),
    *(f"event.AccessRevoked.{actor}" for actor in ("import", "channel")),
    *(f"opening.{reason}" for reason in OPENINGS),
    *(f"event.CampaignTermsChanged.{counting}" for counting in get_args(Counting)),
    *(f"event.CodeTermsChanged.{counting}" for counting in get_args(Counting)),
    *(f"explain.held.{why}" for why in ("reserved", "waiting", "sending", "unknown", "removal", "overdue")),
    *(f"refusal.{code}.{part}" for code in ERROR_CODES for part in ("title", "detail")),
    *(f"page.support.term.{term.name}{part}" for term in TERMS for part in ("", ".none")),
    *(f"page.support.term.{term.name}.value" for term in TERMS if term.kind == "number"),
    *(f"page.support.terms.{term.name}{part}" for term in TERMS for part in ("", ".hint")),
    *(f"page.admin.field.{term.name}" for term in TERMS),
    *(f"page.admin.import.column.{column}" for column in COLUMNS),
    *(f"page.admin.refused.{reason}" for reason in {*COLUMNS, *get_args(RecordProblem)} - {"json"}),
    *(f"page.admin.hand_out.refused.{problem}" for problem in get_args(ListProblem)),
    *(f"page.admin.hint.{term.name}" for term in TERMS if term.default is None),
    *(f"event.CodeIssued.{term.name}" for term in TERMS),
    "event.CodeIssued.max_uses.none",
    *("page.waiting.ahead.one", "page.hooks.failing.one", "event.HandOutCreated.valid_for.one"),
    *(f"page.admin.campaign.confirm.remove_place.{state}" for state in ("waiting", "offered")),
    *(f"threshold.{unit}" for unit in ("day", "days")),
    *(f"event.WaitingListLeft.{cause}" for cause in get_args(LeaveCause)),
    *(f"event.WaitingOfferMailed.{outcome}" for outcome in get_args(OfferMailOutcome)),
    *(f"event.CodeIssued.{term.name}.one" for term in TERMS if term.kind == "number"),
    *(f"event.Campaign.{term.name}.one" for term in CAMPAIGN_TERMS if term.kind in {"number", "days"}),
    *(f"event.Campaign.{term.name}.{word}" for term in CAMPAIGN_TERMS for word in term.choices),
    *(f"page.admin.choice.{term.name}.{word}" for term in CAMPAIGN_TERMS if term.choices for word in term.words),
    *(f"page.admin.field.{term.name}" for term in CAMPAIGN_TERMS),
    *(f"page.admin.campaign.hint.{term.name}" for term in CAMPAIGN_TERMS if term.name not in TERM_NAMES),
    *(f"refusal.{code}.detail_after" for code in ("CODE_HELD", "CAMPAIGN_HELD", "RATE_LIMITED")),
    "refusal.CODE_INVALID.of_another",
    "refusal.CODE_INVALID.one_missing",
    "refusal.CODE_NOT_STARTED.detail_at",
    "refusal.CAMPAIGN_NOT_STARTED.detail_at",
    "refusal.CAMPAIGN_DAY_LIMIT.detail_at",
    *(f"event.Campaign.{name}" for name in CAMPAIGN_TERM_NAMES),
    "refusal.LIMIT_TOO_LOW.detail_taken",
    "refusal.PERSON_LIMIT.detail_mailbox",
    *(f"explain.campaign.{rule}" for rule in ("by_address", "by_mailbox")),
    "refusal.FORBIDDEN.detail_role",
    "refusal.FORBIDDEN.detail_scope",
    *(f"refusal.CAMPAIGN_EXHAUSTED.{text}" for text in ("title_kept", "kept_waiting_list", "detail_waiting_list")),
    "refusal.APPROVAL_REQUIRED.detail_approval_id",
    *(f"page.approval.{part}.{kind}" for part in ("kind", "subject") for kind in get_args(ApprovalKind)),
    *(f"page.approval.{part}.{state}" for part in ("state", "help") for state in get_args(ApprovalState)),
    *(f"page.approval.effect.{name}" for name in get_args(FactName)),
    *(f"refusal.{code}.{why}" for code, error in ERROR_CODES.items() for why in error.reasons),
    *(f"state.{state}" for state in STATES if state in {"waiting", "sending", "unknown"}),
    *(f"state.refunded.{cause}" for cause in CAUSES),
    *(f"event.UseRefunded.{cause}" for cause in (*CAUSES, "other")),
    *(f"event.InviteFailed.{reason}" for reason in FAILURES),
    *(f"event.AccessRemovalFailed.why.{reason}" for reason in (*FAILURES, *DOUBTS)),
    *(f"event.InviteOutcomeUnknown.{cause}" for cause in (*DOUBTS, "other")),
    *(f"event.LateSuccessRecorded.{effect}" for effect in (*get_args(LateEffect), "other")),
    *(f"event.InviteBounced.{reason}" for reason in get_args(BounceReason)),
    *(f"event.CaseOpened.{cause}" for cause in (*CASES, "other")),
    *(f"page.support.{part}.{cause}" for part in ("do", "why") for cause in CASES),
    *(f"event.CaseClosed.{how}" for how in ("proved_sent", *ENDS, "other")),
    *(f"event.InviteAccepted.{via}" for via in ("link", "callback", "other")),
    *(f"page.hooks.refused.{reason}" for reason in get_args(CallbackRefusal)),
    *(f"page.admin.channel.{kind.name}" for kind in channel_kinds().values()),
    *(
        f"page.admin.{part}.channel_{field}"
        for kind in channel_kinds().values()
        for field in kind.fields
        for part in ("field", "hint")
    ),
    *(f"page.support.language.{language}" for language in LANGUAGES),
    *(f"page.support.audit.{action}" for action in get_args(AuditAction)),
    *(f"page.support.audit.detail.{name}" for names in VALUE_NAMES.values() for name in names),
    *(f"page.support.audit.outcome.{outcome}" for outcome in ("sent", "failed", "deferred", "unknown")),
    *(f"page.support.audit.word.{word}" for word in ("none", True, False)),
    *(f"page.support.audit.events.{word}" for word in ("all", "none")),
    *(f"page.support.audit.state.{state}" for state in get_args(EndpointState)),
    "page.support.audit.url.mail",
    *(f"page.admin.fault.{error}" for error in FIELD_FAULTS),
    *(f"page.admin.keys.scope.{scope}" for scope in SCOPES),
    *(f"page.admin.keys.ends.{choice}" for choice in KEY_ENDS),
    *(f"page.admin.keys.cannot_replace.{problem}" for problem in get_args(ReplaceProblem)),
    *(f"page.support.audit.{name}.none" for name in ("networks", "until")),
}
"""Keys that are made from a word of the domain; every other key is written out where it is used."""


def name_keys(what_to_do: str, keys: Collection[str]) -> str:
    """A line for each key: pytest shows one of a long list."""
    return "\n".join([f"{what_to_do}:", *sorted(keys)])


def messages(language: Language) -> list[Message]:
    catalog_messages = []
    for path in catalog_paths(language):
        with path.open("rb") as text:
            catalog_messages += [message for message in read_po(text, abort_invalid=True) if message.id]
    return catalog_messages


def sentences(language: Language) -> dict[str, str]:
    return {str(message.id): str(message.string) for message in messages(language)}


def placeholders(sentence: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


def sources() -> str:
    """All that may say something: the API's code, its templates and its scripts."""
    kinds = ("*.py", "*.html", "*.js")
    return "\n".join(path.read_text("utf-8") for kind in kinds for path in sorted(Path(API).rglob(kind)))


def test_catalogs_have_the_same_keys() -> None:
    keys = {language: sentences(language).keys() for language in LANGUAGES}
    missing = {f"{language}: {key}" for language in LANGUAGES for key in set().union(*keys.values()) - keys[language]}

    assert not missing, name_keys("add the text to the catalog of that language in api/i18n/locales/", missing)


def test_catalogs_have_the_same_placeholders() -> None:
    zh, others = sentences("zh"), [sentences(language) for language in LANGUAGES]
    differing = {key for key in zh for other in others if placeholders(zh[key]) != placeholders(other[key])}

    assert set() == differing


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_key_has_one_finished_text(language: Language) -> None:
    catalog_messages = messages(language)

    assert [message.id for message in catalog_messages if not message.string or message.fuzzy] == []
    assert [key for key, times in Counter(message.id for message in catalog_messages).items() if times > 1] == []


def test_every_word_of_the_domain_has_its_sentence() -> None:
    missing = FAMILIES - sentences("zh").keys()

    assert not missing, name_keys("add a text to a catalog of api/i18n/locales/, in en and in zh", missing)


def test_no_key_has_a_retired_word() -> None:
    """Keys are names too: they call pages and parts of them what texts do."""
    words = {word for key in sentences("en") for word in re.split(r"[._]", key)}

    assert "support" in words
    assert (words & RETIRED.keys()) - WORDS_OF_VALUES == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_written_out_exists(language: Language) -> None:
    """A key in code or in a template that no catalog has would be shown to a person as it is."""
    written = re.findall(r"""\b(?:say|t|translate)\(\s*["']((?:[a-z]+\.)[\w.]*\w)["'](?!\s*~)""", sources())
    knows_key = translator(language).knows

    assert len(written) > 20
    unknown = {key for key in written if not knows_key(key)}

    assert not unknown, name_keys("add a text to a catalog of api/i18n/locales/, in en and in zh", unknown)


def test_every_error_of_a_field_has_its_text() -> None:
    """Errors that pages write out. Add page.admin.fault.ERROR to a catalog of api/i18n/locales/ in both languages."""
    written = {error for path in sorted(Path(API, "web").rglob("*.py")) for error in written_field_errors(path)}
    texts = sentences("en").keys()

    assert {"past", "value", "last_admin", "no_lines"} <= written
    assert [error for error in sorted(written) if f"page.admin.fault.{error}" not in texts] == []


def written_field_errors(path: Path) -> Iterator[str]:
    """The words that a module assigns to `errors[...]`, and those of dictionaries that it passes as `errors`."""
    for node in ast.walk(parse(path.read_text("utf-8"))):
        values: list[ast.expr] = []
        if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Subscript):
            values = [node.value] if ast.unparse(target.value).rpartition(".")[2] == "errors" else []
        elif isinstance(node, ast.keyword) and node.arg == "errors" and isinstance(node.value, ast.Dict):
            values = node.value.values
        for value in values:
            for choice in (value.body, value.orelse) if isinstance(value, ast.IfExp) else (value,):
                if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
                    yield choice.value


def test_no_key_is_unused() -> None:
    """Each key is written out somewhere, belongs to a family, or follows a prefix that a template completes."""
    text = sources()
    prefixes = tuple(re.findall(r"""["'](page\.[\w.]+\.)(?:["']|\{)""", text))
    written = {key for mark in "\"'" for key in re.findall(rf"{mark}([\w.]+)(?={mark})", text)}
    unused = [key for key in sentences("zh") if key not in FAMILIES | written and not key.startswith(prefixes)]

    assert not unused, name_keys("remove it, or add it to FAMILIES above if code makes it from a word", unused)


def test_texts_of_one_language_hold_no_other() -> None:
    """English sentences have no Chinese signs, and Chinese ones use full-width punctuation between their words."""
    han = re.compile(r"[\u3000-\u9fff\uff00-\uffef]")
    half_width = re.compile(r"[\u4e00-\u9fff][,;:!?]|[,;:!?][\u4e00-\u9fff]")

    assert [key for key, sentence in sentences("en").items() if han.search(sentence)] == []
    assert [key for key, sentence in sentences("zh").items() if half_width.search(sentence)] == []


def test_unknown_key_is_shown_as_it_is() -> None:
    """A text that is missing never turns an answer into a fault."""
    said = translate("no.such.key", "en", fact=1)

    assert said == "no.such.key"


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_name_the_bounds_of_timestamps_as_they_are_declared(language: Language) -> None:
    naming = [sentence for sentence in sentences(language).values() if "8999" in sentence]
    dates = [re.findall(r"\d{4}-\d{2}-\d{2}", sentence) for sentence in naming]

    assert len(dates) > 1
    assert [named_dates for named_dates in dates if named_dates != [f"{EARLIEST:%Y-%m-%d}", f"{LATEST:%Y-%m-%d}"]] == []


@pytest.mark.parametrize("path", [path for language in LANGUAGES for path in catalog_paths(language)], ids=str)
def test_catalogs_are_read_as_babel_reads_them(path: Path) -> None:
    """To the character; no message is fuzzy, which other tools would leave out."""
    with path.open("rb") as file:
        catalog = [message for message in read_po(file, abort_invalid=True) if message.id]

    assert read_catalog(path) == [(message.id, message.string) for message in catalog if message.string]
    assert not [message.id for message in catalog if message.fuzzy]


@pytest.mark.parametrize(
    "line", ['msgid "a', 'msgctxt "a"', 'msgid_plural "a"', "msgid 'a'", 'msgstr[0] "a"', 'msgid "\\x41"', "a"]
)
def test_malformed_catalog_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.po"
    path.write_text(f'msgid "key"\nmsgstr "text"\n{line}\n', encoding="utf-8")

    with pytest.raises(CatalogError, match=r"a\.po:3"):
        read_catalog(path)


def test_catalog_joins_continuation_lines_and_leaves_out_empty_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.po"
    lines = (
        'msgid "a"',
        'msgstr ""',
        r'" one \"two\"\n"',
        r'"x\\y "',
        "",
        "#, c-format",
        'msgid "b"',
        'msgstr ""',
    )
    path.write_text("\n".join(lines), encoding="utf-8")

    assert read_catalog(path) == [("a", ' one "two"\nx\\y ')]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_column_of_a_table_has_a_heading(language: Language) -> None:
    """Their keys are put together in table.html, so the search for keys does not see them."""
    say, names = translator(language), set[str]()
    for path in sorted((Path(__file__).parents[2] / "api/web/templates").rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        heads = re.findall(r"table\.head\(t, \[([^\]]*)\]", text)
        names |= {name for head in heads for name in re.findall(r'"(\w+)"', head)}
        names |= set(re.findall(r'table\.(?:cell|at|number|nth)\(t, "(\w+)"', text))

    assert len(names) > 20
    assert [name for name in sorted(names) if say(f"page.column.{name}") == f"page.column.{name}"] == []
