"""Issuing in batches: all of them once, anyone who presses twice or dies on the way."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast
from uuid import UUID, uuid4

import pytest
from psycopg.errors import InsufficientPrivilege

from api.cli.embedded.bounded_wait import wait_until
from api.use_cases.administration.batch_changes import SLICE
from api.use_cases.administration.batch_runner import BatchRunner
from api.web.admin.batches import PER_PAGE
from domain.events.code import CodeIssued
from projections.database.errors import StorageUnavailableError
from projections.repositories.issue_batches import Batch, BatchRepository, NewBatch
from tests.integration.web.admin.test_campaigns import create
from tests.support.clients.admin_client import ask_for, ended
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.code_terms import make_terms
from tests.support.waiting import WAIT_S_MAX


def test_batch_is_issued_in_the_background(app: AppClient, admin: StaffBrowser) -> None:
    nonce, count, before = uuid4().hex, SLICE + 10, app.count("code_balances")
    terms = {
        "count": str(count),
        "prefix": "spring-26",
        "max_uses": "5",
        "group": "Design",
        "rebinds_max": "0",
        "note": "for the fair",
    }

    ids = [ask_for(admin, nonce, **terms) for _ in range(2)]
    batch = ended(app, ids[0])
    page = admin.get(f"/admin/batches/{ids[0]}").text
    code_id = batch.derive_code_ids(0, 1)[0][1]
    line = next(app.services.reader.read_history(code_id))
    event = cast("CodeIssued", line.event)

    assert ids[0] == ids[1]
    assert ("done", count, count, 0) == (batch.state, batch.wanted, batch.done, batch.refused)
    assert app.count("code_balances") == before + count
    assert page.count(">SPRING26-") == PER_PAGE
    assert "for the fair" in page
    assert (5, "Design", 0, ids[0]) == (event.max_uses, event.group, event.rebinds_max, event.correlation_id)
    assert "at most 0" in page
    assert event.text_id is not None
    assert app.services.reader.find_private_text(event.text_id) == "for the fair"


def test_code_with_a_prefix_is_redeemed_in_any_spelling(app: AppClient, admin: StaffBrowser) -> None:
    batch = ended(app, ask_for(admin, prefix="VIP", bound="no", max_uses="3"))
    text = app.services.reader.find_code_text(batch.derive_code_ids(0, 1)[0][1])
    assert text is not None
    alike = text[:3].lower() + "-" + text[3:].replace("0", "o").replace("1", "l")

    assert app.redeem(text, "a@example.com").status_code == 202
    assert app.redeem(alike, "b@example.com").status_code == 202


def test_others_see_only_the_ends(app: AppClient, admin: StaffBrowser, sign_in: Callable[..., StaffBrowser]) -> None:
    """Whole codes are for who asked for them, and only support and viewers are kept out altogether."""
    batch_id = ask_for(admin)
    ended(app, batch_id)
    text = admin.get(f"/admin/batches/{batch_id}").text
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute(
            "UPDATE batches SET requested_at = requested_at - interval '31 minutes' WHERE batch_id = %s", (batch_id,)
        )

    later = admin.get(f"/admin/batches/{batch_id}").text

    assert "you can see them for 30 minutes" in text
    assert "Only the last characters are shown" in later
    assert sign_in("support").get(f"/admin/batches/{batch_id}").status_code == 403


def test_form_names_each_invalid_field(app: AppClient, admin: StaffBrowser) -> None:
    before = app.count("batches")
    answer = admin.submit(
        "/admin/batches",
        "/admin",
        nonce=uuid4().hex,
        count="0",
        prefix="<b>",
        max_uses="x",
        expires_at="2020-01-01T00:00",
        group="blue\x07",
        rebinds_max="1001",
    )

    assert answer.status_code == 422
    assert len(read_page(answer.text).find_all(aria_invalid="true")) == 6
    assert read_page(answer.text).find_all(value="<b>")
    private = admin.submit("/admin/batches", "/admin", nonce=uuid4().hex, group="li.wei@example.com")
    assert (private.status_code, len(read_page(private.text).find_all(aria_invalid="true"))) == (422, 1)
    contradictory = admin.submit(
        "/admin/batches",
        "/admin",
        nonce=uuid4().hex,
        count="0",
        starts_at="2040-01-01T00:00",
        expires_at="2040-01-01T00:00",
        allowed_domains="example.com",
        denied_domains="example.com",
    )
    assert contradictory.status_code == 422
    assert [field.attributes["name"] for field in read_page(contradictory.text).find_all(aria_invalid="true")] == [
        "count",
        "starts_at",
        "denied_domains",
    ]
    assert "The start is not before the redemption deadline" in contradictory.text
    domains = {"allowed_domains": "li@example.com", "denied_domains": "*.a.example .b.example"}
    mistyped = admin.submit("/admin/batches", "/admin", nonce=uuid4().hex, starts_at="2020-01-01T00:00", **domains)
    assert "Enter only the part after the @" in mistyped.text
    assert "A domain does not begin with a dot" in mistyped.text
    assert len(read_page(mistyped.text).find_all(aria_invalid="true")) == 2
    assert app.count("batches") == before


class Failing(BatchRepository):
    """Loses the connection after the second slice was issued, before that is written down."""

    notes = 0

    def save_progress(self, *args: object, **named: object) -> bool:
        self.notes += 1
        if self.notes == 2:
            raise StorageUnavailableError("gone")
        return super().save_progress(*args, **named)  # type: ignore[arg-type]  # passed through as they are


@pytest.mark.usefixtures("own_app")
def test_another_process_goes_on_where_one_died(app: AppClient) -> None:
    """The slice that was issued but not noted down is issued again, which changes nothing."""
    storage, batch_id, count = app.services.storage, uuid4(), 3 * SLICE - 1
    app.client.app.state.admin.runner.close()  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    first, second = (BatchRunner(app.services, batches) for batches in (Failing(storage), BatchRepository(storage)))
    BatchRepository(storage).insert(new_batch(batch_id, count), app.services.now())

    first.start()
    assert wait_until(lambda: app.count("code_balances") == 2 * SLICE, WAIT_S_MAX)
    first.close()
    noted = BatchRepository(storage).find(batch_id)
    with storage.datastore.get_connection() as conn:
        conn.execute("UPDATE batches SET lease_until = now() - interval '1 second'")
    second.start()
    batch = ended(app, batch_id)
    second.close()

    assert noted is not None
    assert (noted.state, noted.done) == ("working", SLICE)
    assert ("done", count) == (batch.state, batch.done)
    assert count == app.count("code_balances") == app.count("ledger_events")


class WithoutGrant(BatchRepository):
    """May not read the batches at first."""

    refusals = 0

    def claim(self, *args: object, **named: object) -> Batch | None:
        self.refusals += 1
        if self.refusals == 1:
            raise InsufficientPrivilege("permission denied for table batches")
        return super().claim(*args, **named)  # type: ignore[arg-type]  # passed through as they are


@pytest.mark.usefixtures("own_app")
def test_batches_are_issued_after_a_defect(app: AppClient, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and ends neither the only thread that issues batches nor the next look."""
    storage, batch_id = app.services.storage, uuid4()
    app.client.app.state.admin.runner.close()  # type: ignore[attr-defined]  # the client knows it as any ASGI app
    batches = WithoutGrant(storage)
    runner = BatchRunner(app.services, batches)
    batches.insert(new_batch(batch_id, 1), app.services.now())

    runner.start()
    assert wait_until(lambda: batches.refusals >= 1, WAIT_S_MAX)
    runner.wake()
    batch = ended(app, batch_id)
    runner.close()

    assert (batch.state, batch.done) == ("done", 1)
    assert [record.exc_info is not None for record in caplog.records if record.msg == "reading batches failed"] == [
        True
    ]


@pytest.mark.usefixtures("own_app")
def test_stopped_batch_issues_no_more(app: AppClient, admin: StaffBrowser) -> None:
    batch_id, batches = uuid4(), BatchRepository(app.services.storage)
    now = app.services.now()
    batches.insert(new_batch(batch_id, 10), now)
    admin.submit(f"/admin/batches/{batch_id}/stop", "/admin", reason="wrong terms")
    batch = ended(app, batch_id)

    assert batch.state in {"stopped", "done"}
    assert batches.claim(uuid4(), now, now) is None
    assert batch.done == app.count("code_balances")


def test_batch_that_a_rule_refuses_is_stopped(app: AppClient, admin: StaffBrowser) -> None:
    """A campaign may end after the form was sent, for example: the batch stops, and no defect is reported."""
    batch_id, before = uuid4(), app.count("code_balances")
    unwritable = make_terms(allowed_domains="example.com", denied_domains="example.com")
    BatchRepository(app.services.storage).insert(replace(new_batch(batch_id, 2), terms=unwritable), app.services.now())
    app.client.app.state.admin.runner.wake()  # type: ignore[attr-defined]  # the client knows it as any ASGI app

    batch = ended(app, batch_id)

    assert (batch.state, batch.done, app.count("code_balances")) == ("stopped", 0, before)
    assert "Issuing was stopped" in admin.get(f"/admin/batches/{batch_id}").text


def new_batch(batch_id: UUID, count: int) -> NewBatch:
    return NewBatch(
        batch_id=batch_id,
        kind="issue",
        staff_id=uuid4(),
        prefix="",
        terms=make_terms(max_uses=1, expires_at=None, validity_days=None, group=None),
        bound=True,
        wanted=count,
    )


def test_numbers_of_terms_and_headings_are_in_the_singular_for_one(app: AppClient, admin: StaffBrowser) -> None:
    one, more = (
        read_page(admin.get(f"/admin/batches/{ended(app, ask_for(admin, **form)).batch_id}").text)
        for form in ({"count": "1", "validity_days": "1"}, {"count": "2", "validity_days": "2"})
    )
    texts = [(page.find("h1").text, page.find("dl", class_="rows").text) for page in (one, more)]

    assert [heading for heading, _ in texts] == ["1 code", "2 codes"]
    assert "Access duration 1 day" in texts[0][1]
    assert "1 days" not in texts[0][1]
    assert "Access duration 2 days" in texts[1][1]


def test_page_names_the_days_of_the_campaign_as_the_end_of_its_codes(app: AppClient, admin: StaffBrowser) -> None:
    campaign = create(admin, valid_for_days="7").rpartition("/")[2]
    without, own = (
        read_page(admin.get(f"/admin/batches/{ended(app, ask_for(admin, campaign=campaign, **form)).batch_id}").text)
        for form in ({}, {"expires_at": "2099-01-31"})
    )

    assert "Valid for (days) 7" in (text := without.find("dl", class_="rows").text)
    assert "Expires" not in text
    assert "Valid for (days)" not in (text := own.find("dl", class_="rows").text)
    assert "Expires" in text


def test_rare_terms_are_behind_a_click_until_one_is_filled_in(app: AppClient, admin: StaffBrowser) -> None:
    """The form is short on a phone; a refused value is not hidden. The hint says what the settings say."""

    def read(answer: AppResponse) -> tuple[bool, list[str]]:
        (rare,) = read_page(answer.text).find("form", action="/admin/batches").find_all("details")
        return "open" in rare.attributes, [field.attributes["name"] for field in rare.find_all("input")]

    empty = admin.get("/admin")
    refused = admin.submit("/admin/batches", "/admin", nonce=uuid4().hex, denied_domains="no domain!")
    code_id = code_id_of(app, app.issue())
    terms = admin.get(f"/support/codes/{code_id}/acts/terms").text
    usual = app.services.settings.policy.rebinds_max

    names = ["starts_at", "rebinds_max", "allowed_domains", "denied_domains", "notify_at"]
    assert (read(empty), read(refused)) == ((False, names), (True, names))
    assert f"Empty: {usual}, as the settings say; 0" in empty.text
    assert f"Empty: {usual}, as the settings say." in terms
