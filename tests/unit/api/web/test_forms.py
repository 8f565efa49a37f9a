import pytest
from pydantic import ValidationError

from api.schemas.hand_outs import ExportRequest
from api.schemas.parsing import ONE_LINE, SEVERAL_LINES
from api.web.forms import FormFields, is_valid_reason, new_nonce, request_id_from_nonce


def test_form_id_made_by_a_page_names_its_act() -> None:
    nonce = new_nonce()

    assert request_id_from_nonce(nonce) == f"form:{nonce}"


@pytest.mark.parametrize("typed", ["", "n1", "13812345678", "LiWei", "x" * 32, "T6Z7Z16GK5WAXPK11EX3"])
def test_form_id_that_no_page_made_names_no_act(typed: str) -> None:
    """A form that was sent manually may hold a name, a phone number or a code."""
    assert request_id_from_nonce(typed) is None


@pytest.mark.parametrize(
    ("pattern", "typed", "is_accepted"),
    [
        (None, "a b", True),
        (None, "a\tb", False),
        (None, "a\u200db", False),
        (ONE_LINE, "a\u200db", True),
        (ONE_LINE, "a\nb", False),
        (ONE_LINE, "a\x00b", False),
        (SEVERAL_LINES, "a\r\n\tb", True),
        (SEVERAL_LINES, "a\x00b", False),
        (SEVERAL_LINES, "a\x0bb", False),
    ],
)
def test_text_of_a_form_must_match_its_pattern(pattern: str | None, typed: str, is_accepted: bool) -> None:
    """PostgreSQL stores no NUL, so no field of several lines may let it through."""
    fields = FormFields({"text": typed})
    fields.text("text", 10, pattern=pattern)

    assert fields.errors == ({} if is_accepted else {"text": "signs"})


@pytest.mark.parametrize("typed", ["", " ", "\u3000", "\u200b", "\ufeff\u202e", "\x00", "\x1c", "\x85", "\u2060\xad"])
def test_reason_that_readers_do_not_see_is_refused_by_page_and_api(typed: str) -> None:
    """Engines of regular expressions differ in what a space is, so the pattern names each character."""
    assert not is_valid_reason(typed)
    with pytest.raises(ValidationError):
        ExportRequest(reason=typed)
    assert is_valid_reason(f"{typed}案")
    assert ExportRequest(reason=f"{typed}x").reason.endswith("x")
