from api.web.filled_forms import fill_form

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
