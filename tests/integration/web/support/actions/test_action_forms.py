"""Actions in the support console: each shows what it will do before it does it, and sent twice it does it once."""

import re
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from api.web.support.actions.action_forms import DONE
from domain.commands.access.settle_access import RecordRemovalOutcome
from domain.commands.context import CommandContext
from domain.commands.delivery.accept_invite import AcceptInvite
from domain.ports import OutcomeUnknown, Rejected
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of, heading
from tests.support.ledger.code_template import make_template

LOST = OutcomeUnknown(server="mx1:25", cause="connection_lost")
SignIn = Callable[..., StaffBrowser]


def reserved(app: AppClient, code: str, email: str = "li.wei@example.com") -> str:
    return str(app.redeem(code, email).json()["reservation_id"])


def nonce_of(answer: AppResponse) -> str:
    match = re.search(r'name="nonce" value="(\w+)"', answer.text)
    assert match is not None
    return match[1]


def kinds(app: AppClient, code: str) -> list[str]:
    return [type(line.event).__name__ for line in app.services.reader.read_history(code_id_of(app, code))]


def twice(browser: StaffBrowser, path: str, **form: str) -> list[AppResponse]:
    """Fill in the form of an act once, and send it twice."""
    filled = {"token": browser.token(), "nonce": nonce_of(browser.get(path)), **form}
    return [browser.post(path, filled) for _ in range(2)]


def _changed_rows(page: str) -> list[str]:
    return read_page(page).texts("tr", class_="is-moved")


def _text_without_replies(page: str) -> str:
    """Return the text of a page without the replies of servers, which it quotes."""
    text = read_page(page).text
    for reply in read_page(page).texts("pre"):
        text = text.replace(reply, "")
    return text


def test_mistyped_address_is_corrected(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    wrong = reserved(app, code, "ly.wei@exmaple.com")
    app.attempt(wrong)
    browser, path = sign_in("support"), f"/support/reservations/{wrong}/acts/correct"

    asked = browser.get(path)
    rejected = browser.submit(path, email="nonsense", step="look", nonce="n1")
    same = browser.submit(path, email="ly.wei@exmaple.com", step="look", nonce="n1")
    looked = browser.submit(path, email="ly.wei@example.com", step="look", nonce="n1")
    done = [browser.submit(path, email="ly.wei@example.com", nonce="n1", note="by phone") for _ in range(2)]

    assert read_page(asked.text).find_all(name="email")
    assert (rejected.status_code, "already goes to" in same.text) == (422, True)
    assert "1 use reserved for the new address" in looked.text
    assert read_page(looked.text).row("used") == ["1", "0"]
    assert done[0].headers["location"] == done[1].headers["location"] != f"/support/reservations/{wrong}?done=correct"
    after = browser.get(done[0].headers["location"])
    assert "Corrected. This is the reservation that the use moved to." in after.text
    assert read_page(after.text).find_all(href=f"/support/reservations/{wrong}")
    assert "Open the corrected reservation" in browser.get(f"/support/reservations/{wrong}").text
    assert kinds(app, code)[-4:] == ["UseRefunded", "AccessCorrected", "AccessRemoved", "UseReserved"]


def test_each_act_is_followed_by_its_page(app: AppClient, sign_in: SignIn) -> None:
    reservation_id, browser = reserved(app, app.issue()), sign_in("viewer")
    pages = {word: browser.get(f"/support/reservations/{reservation_id}", done=word) for word in DONE}

    assert [word for word, page in pages.items() if page.status_code != 200] == []
    assert [
        word for word, page in pages.items() if not read_page(page.text).find("p", class_="done", role="status").text
    ] == []


def test_case_of_an_access_that_stays_is_about_the_access(app: AppClient, sign_in: SignIn) -> None:
    """Not of sending: the same acts decide it, in words of their own."""
    code = app.issue()
    reservation_id = reserved(app, code)
    app.attempt(reservation_id)
    browser, page = sign_in("support"), f"/support/reservations/{reservation_id}"
    browser.submit(f"{page}/acts/refund", access="revoke", nonce="n1", note="asked for it")
    app.services.storage.ledger.execute(
        [
            RecordRemovalOutcome(
                context=CommandContext(now=app.services.now(), actor="sweep"),
                reservation_id=UUID(reservation_id),
                attempt=1,
                channel="webhook",
                outcome=Rejected(server="team", reason="message_refused", final=True),
                case_id=uuid4(),
            )
        ]
    )

    offered = browser.get(page).text
    listed = browser.get("/support/work").text
    asked = browser.get(f"{page}/acts/resolve-sent")
    done = browser.submit(f"{page}/acts/resolve-sent", nonce="n2", note="looked into the group")

    assert "Resolve: removed manually" in offered
    assert "Retry the removal" in offered
    assert "Resolve as sent" not in offered
    assert "the access has ended and could not be removed" in offered
    assert "the access has ended and could not be removed" in listed
    assert ">removal_failed" not in listed, "the name is the value of a choice alone"
    assert "message_refused" not in _text_without_replies(offered)
    assert heading(asked) == "Resolve: removed manually"
    assert "Recorded: the access was removed." in browser.get(done.headers["location"]).text
    assert kinds(app, code)[-2:] == ["CaseOpened", "CaseClosed"]


def test_invitation_is_resent_once(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reservation_id = reserved(app, code)
    app.attempt(reservation_id)
    browser = sign_in("support")

    answers = twice(browser, f"/support/reservations/{reservation_id}/acts/resend", note="never arrived")

    assert [answer.status_code for answer in answers] == [303, 303]
    assert kinds(app, code).count("ResendRequested") == 1
    assert "as delivery 2" in browser.get(f"/support/reservations/{reservation_id}").text


def test_access_is_moved_to_another_group(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=1, group="red", validity_days=30))
    former = reserved(app, code)
    app.attempt(former)
    browser, path = sign_in("support"), f"/support/reservations/{former}/acts/rebind"

    asked = browser.get(path)
    same = browser.submit(path, group="red", step="look", nonce="n1")
    looked = browser.submit(path, group="blue", step="look", nonce="n1")
    done = [browser.submit(path, group="blue", nonce="n1", note="sold the wrong one") for _ in range(2)]
    rebind = done[0].headers["location"].partition("?")[0].rpartition("/")[2]
    app.attempt(rebind)

    assert read_page(asked.text).find_all(name="group")
    assert "already in this group" in same.text
    assert "access to be moved to blue" in looked.text
    assert read_page(looked.text).row("used") == ["1", "1"]
    assert [answer.status_code for answer in done] == [303, 303]
    assert kinds(app, code).count("RebindReserved") == 1
    assert read_page(browser.get(f"/support/reservations/{rebind}").text).find_all(
        href=f"/support/reservations/{former}"
    )
    before = browser.get(f"/support/reservations/{former}").text
    assert read_page(before).find_all(href=f"/support/reservations/{rebind}")
    assert "pending" in before


def test_reserved_use_is_cancelled(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reservation_id = reserved(app, code)
    browser = sign_in("support")
    offered = re.findall(r'/acts/([\w-]+)"', browser.get(f"/support/reservations/{reservation_id}").text)

    twice(browser, f"/support/reservations/{reservation_id}/acts/cancel", note="double order")

    assert offered == ["correct", "cancel"]
    assert kinds(app, code).count("UseRefunded") == 1
    assert "No actions are possible" in browser.get(f"/support/reservations/{reservation_id}").text


def test_refund_asks_about_the_access(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=2, bound=False))
    items = [reserved(app, code, f"{name}@example.com") for name in ("a", "b")]
    for reservation_id in items:
        app.attempt(reservation_id)
    browser = sign_in("support")
    asked = browser.get(f"/support/reservations/{items[0]}/acts/refund")

    twice(browser, f"/support/reservations/{items[0]}/acts/refund", note="asked", access="keep")
    assert "AccessRevoked" not in kinds(app, code)
    twice(browser, f"/support/reservations/{items[1]}/acts/refund", note="asked", access="revoke")

    assert "What happens to the access that the invitation gave?" in asked.text
    assert "No acceptance of the invitation is recorded." in asked.text
    assert kinds(app, code).count("AccessRevoked") == 1


def test_terms_are_shown_before_they_change(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=3, bound=False, validity_days=30))
    for name in ("a", "b"):
        reserved(app, code, f"{name}@example.com")
    browser, path = sign_in("support"), f"/support/codes/{code_id_of(app, code)}/acts/terms"
    form = {"validity_days": "30", "expires_at": "", "group": "", "rebinds_max": "0", "nonce": "n1"}

    asked = browser.get(path)
    low = browser.submit(path, max_uses="1", step="look", **form)
    looked = browser.submit(path, max_uses="9", step="look", **form)
    wrong = browser.submit(path, max_uses="many", step="look", **form)
    done = [browser.submit(path, max_uses="9", note="sold more", **form) for _ in range(2)]

    often = browser.submit(path, max_uses="9", step="look", **{**form, "rebinds_max": "1001"})

    fields = [read_page(asked.text).find("input", name=name) for name in ("max_uses", "rebinds_max")]
    assert [field.attributes["value"] for field in fields] == ["3", ""]
    assert read_page(looked.text).row("Moves to another group") == ["by the settings", "at most 0"]
    assert "at most 0" in browser.get(f"/support/codes/{code_id_of(app, code)}").text
    assert "Uses over the limit: 1. They stay." in low.text
    assert _changed_rows(looked.text)[-2:] == ["Limit 3 9", "Moves to another group by the settings at most 0"]
    assert (wrong.status_code, often.status_code) == (422, 422)
    assert [answer.status_code for answer in done] == [303, 303]
    assert kinds(app, code).count("CodeTermsChanged") == 1


def test_new_limit_asks_which_uses_it_counts(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=4, bound=False, notify_at="100%"))
    ids = [reserved(app, code, f"{name}@example.com") for name in ("a", "b")]
    browser, path = sign_in("support"), f"/support/codes/{code_id_of(app, code)}/acts/terms"
    form = {
        "max_uses": "1",
        "validity_days": "",
        "expires_at": "",
        "group": "",
        "rebinds_max": "",
        "nonce": "n1",
        "notify_at": "100%",
    }

    looked = read_page(browser.submit(path, step="look", **form).text)
    without_reason = browser.submit(path, counting="from_now", note=" ", **form)
    same = read_page(browser.submit(path, step="look", **{**form, "max_uses": "4", "validity_days": "9"}).text)
    done = browser.submit(path, counting="all", note="sold twice", **form)

    of_all, from_now = looked.find("div", id="choice-all"), looked.find("div", id="choice-from_now")
    assert "Limit of the code: 1. Used and reserved: 2. Left: -1." in of_all.text
    assert "Uses over the limit: 1. They stay." in of_all.text
    assert "Reports a threshold: 100% of the uses are taken." in of_all.text
    assert "Reports a threshold" not in from_now.text
    assert ids[1] in of_all.text
    assert "Limit of the code: 3. Used and reserved: 2. Left: 1." in from_now.text
    assert looked.row("Limit") == ["4", "1"]
    assert without_reason.status_code == 422
    chosen = [
        field.attributes["value"]
        for field in read_page(without_reason.text).find_all("input", name="counting")
        if "checked" in field.attributes
    ]
    assert chosen == ["from_now"]
    assert same.find_all("input", name="counting") == []
    assert done.status_code == 303
    assert "-1" in browser.get(f"/support/codes/{code_id_of(app, code)}").text


def seen_on(answer: AppResponse) -> dict[str, str]:
    """What a form carries along: which form it is, and what its page showed."""
    match = re.search(r'name="seen" value="(\w+)"', answer.text)
    assert match is not None
    return {"nonce": nonce_of(answer), "seen": match[1]}


def test_form_is_previewed_again_when_the_code_has_changed_since(app: AppClient, sign_in: SignIn) -> None:
    """An old tab refunds no use that was accepted since, unless its reader confirms; pressing twice is once."""
    code = app.issue()
    reservation_id = reserved(app, code)
    app.attempt(reservation_id)
    browser, path = sign_in("support"), f"/support/reservations/{reservation_id}/acts/refund"
    old_tab = seen_on(browser.get(path))
    context = CommandContext(now=app.services.now(), actor="person")
    accepted = AcceptInvite(context=context, reservation_id=UUID(reservation_id), delivery=1, case_id=uuid4())
    app.services.storage.ledger.execute([accepted])

    stopped = browser.submit(path, note="asked", **old_tab)
    assert (stopped.status_code, "Something changed while this page was open" in stopped.text) == (409, True)
    assert "UseRefunded" not in kinds(app, code)
    insisted = {**seen_on(stopped), "access": "keep"}
    done = [browser.submit(path, note="asked", **insisted) for _ in range(2)]

    assert [answer.status_code for answer in done] == [303, 303]
    assert kinds(app, code).count("UseRefunded") == 1


def test_new_terms_overwrite_no_unseen_change(app: AppClient, sign_in: SignIn) -> None:
    """The old form would set the old limit again: that is shown before it is done, and only done if wanted."""
    code = app.issue(make_template(max_uses=3, bound=False))
    browser, path = sign_in("support"), f"/support/codes/{code_id_of(app, code)}/acts/terms"
    form = {"max_uses": "3", "validity_days": "9", "expires_at": "", "group": "", "rebinds_max": ""}
    old_tab = seen_on(browser.get(path))
    raise_limit = {**form, "max_uses": "8", "validity_days": "", "note": "sold more"}
    assert sign_in("admin").submit(path, nonce="other", **raise_limit).status_code == 303

    misread = browser.submit(path, **{**form, "max_uses": "x"}, step="look", **old_tab)
    looked = browser.submit(path, **form, step="look", **seen_on(misread))
    done = browser.submit(path, **{**form, "max_uses": "8"}, note="for nine days", **seen_on(looked))

    assert (misread.status_code, looked.status_code, done.status_code) == (422, 409, 303)
    assert "Limit 8 3" in _changed_rows(looked.text)
    assert kinds(app, code).count("CodeTermsChanged") == 2


def test_code_is_paused_and_resumed_with_a_reason(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    browser, page = sign_in("support"), f"/support/codes/{code_id_of(app, code)}"

    assert browser.submit(f"{page}/acts/pause", note=" ", nonce="n1").status_code == 422
    twice(browser, f"{page}/acts/pause", note="checking a double sale")
    paused = browser.get(page).text
    twice(browser, f"{page}/acts/resume", note="all is well")

    assert "checking a double sale" in paused
    assert "paused" in read_page(paused).texts("span")
    assert "/acts/resume" in paused
    assert kinds(app, code) == ["CodeIssued", "CodePaused", "CodeResumed"]


def test_revoking_shows_everything_that_it_undoes(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue(make_template(max_uses=None, bound=False))
    items = [reserved(app, code, f"p{number}@example.com") for number in range(6)]
    app.attempt(items[0])
    app.attempt(items[1], LOST)
    browser, page = sign_in("support"), f"/support/codes/{code_id_of(app, code)}"

    looked = browser.get(f"{page}/acts/revoke").text
    twice(browser, f"{page}/acts/revoke", note="posted in a forum")
    after = browser.get(page).text

    assert "the code was revoked × 4" in read_page(looked).text
    assert "case opened" in looked
    assert read_page(looked).row("reserved") == ["5", "1"]
    assert "1 used, 1 reserved" in after
    assert "/acts/" not in after
    assert kinds(app, code).count("CodeRevoked") == 1


def test_looking_changes_nothing(app: AppClient, sign_in: SignIn) -> None:
    """A preview is decided by the ledger and rolled back: no event, no row, and no state that stays in a cache."""
    code = app.issue(make_template(max_uses=2, bound=False))
    reservation_id = reserved(app, code)
    browser, page = sign_in("support"), f"/support/codes/{code_id_of(app, code)}"
    before, people = kinds(app, code), app.count("recipients")

    for path in (f"{page}/acts/revoke", f"{page}/acts/pause", f"/support/reservations/{reservation_id}/acts/cancel"):
        assert "What will be recorded" in browser.get(path).text
    browser.submit(
        f"/support/reservations/{reservation_id}/acts/correct", email="new@example.com", step="look", nonce="n"
    )

    assert kinds(app, code) == before
    assert app.count("recipients") == people
    assert app.redeem(code, "mei@example.com").status_code == 202


def test_notes_stand_in_the_history_once(app: AppClient, sign_in: SignIn) -> None:
    code = app.issue()
    reservation_id = reserved(app, code)
    browser, page = sign_in("support"), f"/support/codes/{code_id_of(app, code)}"

    for path, text in ((page, "sold in a shop"), (f"/support/reservations/{reservation_id}", "they called")):
        form = {"token": browser.token(), "nonce": nonce_of(browser.get(path)), "note": text}
        for _ in range(2):
            assert browser.post(f"{path}/notes", form).headers["location"] == f"{path}?done=note"

    shown = browser.get(page).text
    assert kinds(app, code)[-2:] == ["CodeNoted", "NoteAdded"]
    assert "sold in a shop" in shown
    assert "they called" in shown
    looked = sign_in("viewer").get(page).text
    assert "staff added a note" in looked
    assert "they called" not in looked
    assert browser.submit(f"{page}/notes", note=" ", nonce="n9").status_code == 422


@pytest.mark.parametrize("action", ["terms", "pause", "revoke"])
def test_viewer_does_nothing_to_a_code(app: AppClient, sign_in: SignIn, action: str) -> None:
    code = app.issue()
    browser, page = sign_in("viewer"), f"/support/codes/{code_id_of(app, code)}"

    answers = [browser.get(f"{page}/acts/{action}"), browser.submit(f"{page}/acts/{action}", note="x", nonce="1")]
    answers += [browser.submit(f"{page}/notes", note="x", nonce="1"), browser.get("/support/outage")]

    assert [answer.status_code for answer in answers] == [403] * 4
    assert "/acts/" not in browser.get(page).text
    assert kinds(app, code) == ["CodeIssued"]


def test_outage_is_undone_step_by_step(app: AppClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.web.support.actions.refund_outage.REFUND_BATCH", 2)
    window = {"start": app.services.now().isoformat(), "end": "2100-01-01T00:00:00", "include": "sent"}
    code = app.issue(make_template(max_uses=None, bound=False))
    for number in range(3):
        app.attempt(reserved(app, code, f"p{number}@example.com"))
    browser = sign_in("support")

    nothing = browser.get("/support/outage", start=window["start"], end=window["end"])
    looked = browser.get("/support/outage", **window)
    form = {**window, "nonce": nonce_of(looked)}
    missing = browser.submit("/support/outage", **form, note=" ")
    first = browser.submit("/support/outage", **form, note="mx1 was down")
    last = browser.submit("/support/outage", **form, note="mx1 was down", done="2")

    assert "No reservation of that time" in nothing.text
    assert "To refund: 3, on codes: 1" in looked.text
    assert missing.status_code == 422
    assert ("2 of 3 refunded" in first.text, "3 of 3 refunded" in last.text) == (True, True)
    assert kinds(app, code).count("UseRefunded") == 3
    assert "mx1 was down" in sign_in("admin").get("/support/audit").text
    backwards = browser.get("/support/outage", start=window["end"], end=window["start"])
    assert backwards.status_code == 422
    assert heading(backwards) == "Refund an outage"
