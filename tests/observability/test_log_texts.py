"""Log calls: a fixed lower-case text, facts in fields that reach the line, and a word that says what failed.

A text that negates, such as "no person was erased", reads as a success.
"""

import re
from functools import cache
from typing import Final

import pytest

from api.http.dependency_status import PARTS
from docs.log_events import LogCall, log_calls, log_calls_of
from projections.telemetry.log_setup import FIELDS
from tests.architecture.vocabulary import prose_in

SHAPE: Final = re.compile(r"[a-z][a-z/' -]+[a-z]")
HIDING: Final = re.compile(
    r"\b(nobody|nothing|none|somebody|everybody|no|left to|could not|all right)\b", re.IGNORECASE
)
FAILURE: Final = re.compile(
    r"\b(failed|refused|interrupted|missing|unavailable|unsafe|broken|differs|disabled|detected|ended|full|ignored|again)\b"
)
"""Of each warning and error one word says what is wrong, or that it no longer is."""
BY_FIELDS: Final = "task"
"""Text of the line whose outcome says how it went."""


@cache
def all_calls() -> tuple[LogCall, ...]:
    """Every log call of the ledger, read once, and by no process that only collects this file."""
    return tuple(log_calls())


def text_errors(call: LogCall) -> list[str]:
    errors = []
    if not SHAPE.fullmatch(call.text):
        errors.append("the text is not fixed, lower case and without period: facts belong into `extra`")
    if call.has_arguments:
        errors.append("the text is filled with arguments: they belong into `extra`")
    if call.level in {"warning", "error"} and call.text != BY_FIELDS and not FAILURE.search(call.text):
        errors.append("the text does not say what failed")
    if hiding := HIDING.search(call.text):
        errors.append(f"{hiding[0]!r} hides what failed")
    errors += [f"write another word for {word!r}" for word in prose_in([call.text])]
    return errors


def test_log_texts_are_fixed_and_name_the_failure() -> None:
    """If this fails, write a lower-case text in the past tense, and add facts with `extra`."""
    assert len(all_calls()) > 35
    assert [(call.place, call.text, errors) for call in all_calls() if (errors := text_errors(call))] == []


def test_descriptions_of_missing_components_name_the_failure() -> None:
    assert [text for text in PARTS.values() if HIDING.search(text) or not FAILURE.search(text)] == []


@pytest.mark.parametrize(
    ("call", "count"),
    [
        ('log.error("erasing a person failed")', 0),
        ('log.error("nobody was forgotten")', 3),
        ('log.warning("broker %s failed", name)', 2),
        ('log.warning(f"{name} failed")', 2),
        ('log.info("Message sent.")', 1),
        ('log.warning("messages failed for ever")', 1),
        ('self._log.exception("a batch waits")', 1),
    ],
)
def test_log_text_that_breaks_a_rule_is_found(call: str, count: int) -> None:
    (log_call,) = log_calls_of(call, "x.py")

    assert len(text_errors(log_call)) == count


def test_field_of_a_log_call_has_a_word_if_it_always_has_the_same_one() -> None:
    """The page of log events shows it, because searches name it."""
    source = "facts = {'action': 'send', 'reason': why, 'outcome': 'sent'}\nfacts['outcome'] = 'failed'\n"
    (call,) = log_calls_of(f"{source}log.info('message', extra=facts)", "x.py")

    assert call.fields == {"action": "send", "reason": "", "outcome": ""}


def test_log_call_names_no_field_that_the_log_leaves_out() -> None:
    """Else an operator reads that a row was refused, but not which one or why."""
    fields = [(call.place, field) for call in all_calls() for field in call.fields]

    assert len(fields) > 30
    assert [(place, field) for place, field in fields if field not in FIELDS] == []
