import pytest

from api.errors import ApplicationError
from api.use_cases.mail_hooks.hook import (
    NAMES_MAX,
    Failure,
    check_equal,
    entries_at,
    make_report,
    member,
    read_json,
    text_at,
)
from domain.values.mail.bounce_reason import BounceReason

TOKEN = "abcdefg" + "2" * 40


@pytest.mark.parametrize(
    ("texts", "otherwise", "reason", "reply_code"),
    [
        (["5.1.1"], "other", "mailbox_unknown", None),
        (["5.0.0", "550 5.1.1 no such user"], "other", "mailbox_unknown", 550),
        (["", "552-5.2.2 over quota"], "refused", "mailbox_full", 552),
        (["5.0.0", "550 rejected"], "refused", "refused", 550),
        (["smtp; 550 5.7.1 blocked"], "other", "refused", 550),
        (["from 10.5.1.1 at 5.1.1.9"], "other", "other", None),
        (["version 1550 of 2024"], "other", "other", None),
        ([], "expired", "expired", None),
    ],
)
def test_reason_is_that_of_the_first_code_that_says_why(
    texts: list[str], otherwise: BounceReason, reason: str, reply_code: int | None
) -> None:
    """General codes say nothing, and other numbers with dots are not codes."""
    report = make_report(Failure("bounced", texts, otherwise), [], [], {})

    assert (report.reason, report.reply_code) == (reason, reply_code)


def test_tokens_are_found_in_order_and_bounded() -> None:
    others = [f"bounces+{TOKEN[:-2]}{first}{last}@x.example" for first in "bcd" for last in "234567"]
    tokens = make_report(Failure("delayed", ()), [TOKEN, "no token", f"x+{TOKEN}@y.example", *others], [], {}).tokens

    assert tokens[0] == TOKEN
    assert len(tokens) == len(set(tokens)) == NAMES_MAX


def test_report_says_each_detail_once_in_one_printable_line() -> None:
    details = ["a\r\nb\0", "", "a\r\nb\0", "\ud800c"]

    assert make_report(Failure("delayed", ()), [], details, {}).said == "a b c"


def test_report_has_the_event_as_the_provider_wrote_it() -> None:
    event = {"event": "bounce", "reason": "邮箱不存在", "more": [1, None, {"a": 1.5}]}
    text = make_report(Failure("bounced", ()), [], ["bounce"], event).text

    assert text == 'bounce\n\n{"event": "bounce", "reason": "邮箱不存在", "more": [1, null, {"a": 1.5}]}'


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5_000, b'{"a": 1, "a": 2}'])
def test_text_that_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(ApplicationError, match="MALFORMED"):
        read_json(body)


def test_members_of_another_type_are_read_as_missing() -> None:
    """A report without them still counts."""
    document = {"a": {"b": 5, "c": None, "d": [1]}}

    assert member(document, "a", "b", "c") is None
    assert [text_at(document, "a", name) for name in "bcdx"] == ["5", "", "", ""]
    assert [list(entries_at(document, "a", name)) for name in "bdx"] == [[], [1], []]
    assert text_at("text", "a") == ""


def test_secrets_are_compared_as_octets() -> None:
    check_equal("é", "é".encode())
    for presented in ("e", "\ud800", b"\xff"):
        with pytest.raises(ApplicationError, match="SIGNATURE_INVALID"):
            check_equal("é", presented)
