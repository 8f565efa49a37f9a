import pytest
from pydantic import ValidationError

from api.schemas.hand_outs import ExportRequest
from api.schemas.parsing import ONE_LINE, SEVERAL_LINES
from api.web.filled_forms import fill_form
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


PAGE = """<!doctype html><html><head><script>if (a < b && "</p>") {}</script></head><body>
<svg viewBox="0 0 1 1"><linearGradient id="g"/><rect width="1"/></svg>
<p>5 &lt; 6 &amp; &#39;x&#39;</p><form method="post" action="/other"><input name="name" value="stays"></form>
<details class="more"><summary>Change</summary>
<form method="post" data-once>
<input type="hidden" name="token" value="new"><input type="hidden" name="seen" value="2">
<input name="name" value="old"><input type="password" name="own" value="">
<input type="file" name="file">
<input type="checkbox" name="tick" value="yes" checked><input type="radio" name="kind" value="a" checked>
<input type="radio" name="kind" value="b"><textarea name="note">before &lt;b&gt;</textarea>
<select name="state"><option value="">-</option><option value="on" selected>On</option>
<option value="off">Off</option></select>
<details><summary>Rare</summary><input name="limit" value="1"></details>
<button type="submit" name="intent" value="go">Go</button></form></details>
<details><summary>Else</summary>&copy;</details></body></html>"""
TYPED = [
    ("seen", "1"),
    ("token", "former"),
    ("name", '"Ann" <b> &amp;'),
    ("own", "secret"),
    ("kind", "b"),
    ("note", "\nline\r\n</textarea><script>"),
    ("state", "off"),
    ("limit", "9"),
    ("intent", "go"),
]


def test_form_of_the_action_is_filled_and_the_rest_of_the_page_stays() -> None:
    filled = fill_form(PAGE, "/here?a=1&b=2", "/here", TYPED, "Check <it>")

    assert filled is not None
    before, _, inside = filled.partition('<details open class="more">')
    assert before == PAGE.partition('<details class="more">')[0]
    assert inside.splitlines() == [
        "<summary>Change</summary>",
        '<p class="done" role="status">Check &lt;it&gt;</p><form action="/here?a=1&amp;b=2" method="post" data-once>',
        '<input type="hidden" name="token" value="new"><input type="hidden" name="seen" value="1">',
        '<input name="name" value="&quot;Ann&quot; &lt;b&gt; &amp;amp;"><input type="password" name="own" value="">',
        '<input type="file" name="file">',
        '<input type="checkbox" name="tick" value="yes"><input type="radio" name="kind" value="a">',
        '<input type="radio" name="kind" value="b" checked><textarea name="note">',
        "",
        "line",
        "&lt;/textarea&gt;&lt;script&gt;</textarea>",
        '<select name="state"><option value="">-</option><option value="on">On</option>',
        '<option value="off" selected>Off</option></select>',
        '<details open><summary>Rare</summary><input name="limit" value="9"></details>',
        '<button type="submit" name="intent" value="go">Go</button></form></details>',
        "<details><summary>Else</summary>&copy;</details></body></html>",
    ]


def test_page_without_a_form_for_the_action_is_none() -> None:
    assert fill_form(PAGE, "/page", "/elsewhere", TYPED, "") is None
