"""The codes of a list or a batch are paused, resumed, revoked or extended together, each with its event, and once."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from api.cli.embedded.bounded_wait import wait_until
from api.use_cases.administration import chosen_codes
from api.use_cases.administration.batch_changes import SLICE
from api.use_cases.administration.batch_runner import BatchRunner
from api.web.admin import change_codes
from domain.events.code import CodePaused, CodeRevoked, CodeTermsChanged
from domain.events.event import Event
from projections.database.errors import StorageUnavailableError
from projections.repositories.issue_batches import BatchRepository
from tests.support.clients.admin_client import ask_for, ended
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_template import make_template
from tests.support.waiting import WAIT_S_MAX

PATH = "/admin/codes/change"
REASON = "leaked in a forum"


def send(admin: StaffBrowser, url: str, **form: str) -> AppResponse:
    """Open the page of a change, and send its form with a reason."""
    hidden = read_page(admin.get(url).text).find_all("input", type="hidden")
    fields = {field.attributes["name"]: field.attributes["value"] for field in hidden if "name" in field.attributes}
    return admin.post(url, {**fields, "reason": REASON, **form})


def change(app: AppClient, admin: StaffBrowser, url: str, **form: str) -> UUID:
    """Change codes; the id of the batch, which has ended."""
    answer = send(admin, url, **form)
    assert answer.status_code == 303, answer.text
    batch_id = UUID(answer.headers["location"].rpartition("/")[2])
    ended(app, batch_id)
    return batch_id


def events_of(app: AppClient, code_id: UUID, kind: type[Event]) -> list[Event]:
    return [line.event for line in app.services.reader.read_history(code_id) if isinstance(line.event, kind)]


def issue(app: AppClient, group: str, max_uses: int = 1) -> UUID:
    """Issue a code of a group; its id."""
    return code_id_of(app, app.issue(make_template(group=group, max_uses=max_uses)))


def test_batch_is_paused_with_one_event_per_code_and_one_audit_entry(app: AppClient, admin: StaffBrowser) -> None:
    count = SLICE + 2
    source = ended(app, ask_for(admin, count=str(count)))
    url = f"{PATH}/pause?batch={source.batch_id}"
    nonce = uuid4().hex

    question = admin.get(url)
    first = change(app, admin, url, nonce=nonce)
    second = change(app, admin, url, nonce=nonce)
    code_ids = [code_id for _, code_id in source.derive_code_ids(0, count)]
    paused = [events_of(app, code_id, CodePaused) for code_id in code_ids]

    assert f"Pause {count} codes" in question.text
    assert first == second
    assert [len(events) for events in paused] == [1] * count
    event = paused[-1][0]
    assert isinstance(event, CodePaused)
    assert (event.actor, event.correlation_id) == ("staff", first)
    assert event.text_id is not None
    assert app.services.reader.find_private_text(event.text_id) == REASON
    audit = read_page(admin.get("/support/audit?action=changed_codes").text).text
    assert f"{REASON}; action: Pause all codes; number of codes: {count}" in audit


def test_pause_is_undone_from_the_page_of_its_batch(app: AppClient, admin: StaffBrowser) -> None:
    code_id = issue(app, "UNDONE")
    paused = change(app, admin, f"{PATH}/pause?group=UNDONE")

    page = admin.get(f"/admin/batches/{paused}").text
    resumed = change(app, admin, f"{PATH}/resume?batch={paused}")

    assert f"{PATH}/resume?batch={paused}" in read_page(page).link_targets
    assert f"{PATH}/pause?batch={paused}" not in read_page(page).link_targets
    assert BatchRepository(app.services.storage).find(resumed) is not None
    assert app.redeem(app.services.reader.find_code_text(code_id) or "").status_code == 202


def test_revocation_changes_the_filtered_codes_only_and_settles_them(app: AppClient, admin: StaffBrowser) -> None:
    revoked, other = issue(app, "LEAKED", max_uses=3), issue(app, "OTHER")
    paused = issue(app, "LEAKED")
    admin.submit(f"/support/codes/{paused}/acts/pause", f"/support/codes/{paused}/acts/pause", note="n", nonce="n")
    app.redeem(app.services.reader.find_code_text(revoked) or "")

    preview = read_page(admin.get(f"{PATH}/revoke?group=LEAKED").text).text
    change(app, admin, f"{PATH}/revoke?group=LEAKED")
    states = {code_id: app.services.reader.find_balance(code_id) for code_id in (revoked, paused, other)}

    assert "active 1 paused 1 Reserved uses of these codes 1" in preview
    assert [len(events_of(app, code_id, CodeRevoked)) for code_id in (revoked, paused, other)] == [1, 1, 0]
    assert [(state["reserved"], state["used"]) for state in states.values() if state] == [(0, 0)] * 3


@pytest.mark.usefixtures("own_app")
def test_question_names_the_first_codes_and_who_has_them(app: AppClient, admin: StaffBrowser) -> None:
    for _ in range(chosen_codes.SHOWN_MAX):
        issue(app, "NAMED")
    redeemed, free = issue(app, "NAMED"), issue(app, "NAMED")
    texts = {code_id: app.services.reader.find_code_text(code_id) or "" for code_id in (redeemed, free)}
    assert app.redeem(texts[redeemed], "li.wei@example.com").status_code == 202

    pages = {
        (change, language): read_page(admin.get(f"{PATH}/{change}?group=NAMED", lang=language).text)
        for change in ("revoke", "pause", "resume", "extend")
        for language in ("en", "zh")
    }

    for (_, language), page in pages.items():
        rows = [row.text for row in page.find("table", class_="list list-cards").find("tbody").find_all("tr")]
        none, more = {"en": ("No recipient yet", "and 2 more codes"), "zh": ("尚无收件人", "另有 2 个兑换码")}[language]
        assert len(rows) == chosen_codes.SHOWN_MAX
        assert rows[0].startswith(f"…{texts[free][-4:]}")
        assert rows[0].endswith(none)
        assert rows[1].startswith(f"…{texts[redeemed][-4:]}")
        assert rows[1].endswith("@example.com")
        assert "li.wei" not in page.text
        assert more in page.text


def test_refused_codes_are_listed_with_the_reason(app: AppClient, admin: StaffBrowser) -> None:
    gone, code_id = issue(app, "MIXED"), issue(app, "MIXED")
    change(app, admin, f"{PATH}/revoke?group=MIXED&state=active&since=2000-01-01")
    fresh = issue(app, "MIXED")
    end = f"{app.services.now() + timedelta(days=9):%Y-%m-%dT%H:%M}"
    batch_id = change(app, admin, f"{PATH}/extend?group=MIXED", expires_at=end)

    batch, page = ended(app, batch_id), read_page(admin.get(f"/admin/batches/{batch_id}").text).text

    assert (batch.done, batch.refused) == (3, 2)
    assert "Codes that were not changed" in page
    assert [len(events_of(app, each, CodeTermsChanged)) for each in (gone, code_id, fresh)] == [0, 0, 1]


def test_question_needs_a_reason_and_an_extension_a_time_ahead(app: AppClient, admin: StaffBrowser) -> None:
    issue(app, "ASKED")
    before = app.count("batches")

    nameless = send(admin, f"{PATH}/pause?group=ASKED", reason=" ")
    endless = send(admin, f"{PATH}/extend?group=ASKED", expires_at="")
    past = send(admin, f"{PATH}/extend?group=ASKED", expires_at="2001-01-01T00:00")

    assert [answer.status_code for answer in (nameless, endless, past)] == [422] * 3
    assert REASON in past.text
    assert "2001-01-01T00:00" in past.text
    assert app.count("batches") == before


def test_code_that_was_issued_after_the_question_is_not_changed(app: AppClient, admin: StaffBrowser) -> None:
    """The reader confirmed a number of codes, and those are changed."""
    code_id = issue(app, "LATER")
    url = f"{PATH}/pause?group=LATER"
    as_of = app.services.now().isoformat()
    later = issue(app, "LATER")

    change(app, admin, url, as_of=as_of)

    assert [len(events_of(app, each, CodePaused)) for each in (code_id, later)] == [1, 0]


def test_list_that_is_too_long_is_refused_with_advice(
    app: AppClient, admin: StaffBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        issue(app, "LONG")
    before = app.count("batches")
    for module in (change_codes, chosen_codes):
        monkeypatch.setattr(module, "CODES_MAX", 2)

    page = admin.get(f"{PATH}/pause?group=LONG").text
    form = {"as_of": app.services.now().isoformat(), "nonce": uuid4().hex, "reason": REASON}
    admin.submit(f"{PATH}/pause?group=LONG", "/admin", **form)

    assert "More than 2 codes" in page
    assert "press" not in {each.attributes.get("class", "") for each in read_page(page).find("main").find_all("button")}
    assert app.count("batches") == before


class Failing(BatchRepository):
    """Loses the connection before the second slice is written down."""

    notes = 0

    def save_progress(self, *args: object, **named: object) -> bool:
        self.notes += 1
        if self.notes == 2:
            raise StorageUnavailableError("gone")
        return super().save_progress(*args, **named)  # type: ignore[arg-type]  # passed through as they are


@pytest.mark.usefixtures("own_app")
def test_another_process_continues_a_change_without_repeating_it(app: AppClient, admin: StaffBrowser) -> None:
    """The slice that was changed but not noted is decided again, which adds no event."""
    count = 3 * SLICE - 1
    source = ended(app, ask_for(admin, count=str(count)))
    app.client.app.state.admin.runner.close()  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    first, second = (BatchRunner(app.services, each(app.services.storage)) for each in (Failing, BatchRepository))
    answer = send(admin, f"{PATH}/pause?batch={source.batch_id}")
    batch_id = UUID(answer.headers["location"].rpartition("/")[2])
    issued = app.count("ledger_events")

    first.start()
    assert wait_until(lambda: app.count("ledger_events") == issued + 2 * SLICE, WAIT_S_MAX)
    first.close()
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE batches SET lease_until = now() - interval '1 second'")
    second.start()
    batch = ended(app, batch_id)
    second.close()

    assert ("done", count, 0) == (batch.state, batch.done, batch.refused)
    assert app.count("ledger_events") == issued + count
