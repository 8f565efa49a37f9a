"""Limits on invitations: one mailbox can't be flooded, and honest repeats cost nothing."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.rate_limits.invitations import HOUR_S
from domain.values.identifiers import EmailAddress
from projections.config.settings import RATES
from tests.support.clients.app_client import AppClient
from tests.support.clients.asgi_requests import AsgiResponse, ask, inside
from tests.support.clients.in_process_app import GENEROUS, settings_over, started
from tests.support.ledger.code_template import make_template
from tests.support.waiting import wait_for

VICTIM = "li.wei@example.com"


@pytest.fixture(autouse=True)
def defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, rate in zip(GENEROUS, (*RATES, 5), strict=True):
        monkeypatch.setitem(GENEROUS, name, str(rate))


@pytest.fixture
def app(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AppClient]:
    with started(settings_over(database_url, monkeypatch, tmp_path)) as app_client:
        yield app_client


def redeem_again(app: AppClient, code: str, number: int) -> list[AsgiResponse]:
    answers: list[AsgiResponse] = []
    more: dict[str, Any] = {}
    for host_number in range(number):
        response = inside(app, partial(ask, app, f"198.51.100.{host_number}", VICTIM, code, **more))
        answers.append(response)
        if response.status == 202:
            app.attempt(response.body["reservation_id"])
            more = {"again": response.body["reservation_id"]}
    return answers


def test_recipient_gets_a_bounded_number_of_invitations_whatever_the_code(app: AppClient) -> None:
    """Each code is another one, and so is each client address."""
    codes = [app.issue() for _ in range(RATES.per_recipient + 1)]

    async def redeems() -> list[AsgiResponse]:
        return [await ask(app, f"198.51.100.{n}", VICTIM, code) for n, code in enumerate(codes)]

    *accepted, limited = inside(app, redeems)
    other = inside(app, lambda: ask(app, "198.51.100.1", "mei@example.com", codes[-1]))

    assert [response.status for response in accepted] == [202] * RATES.per_recipient
    assert (limited.status, limited.code) == (429, "RATE_LIMITED")
    assert HOUR_S / RATES.per_recipient - 60 < int(limited.headers["retry-after"]) <= HOUR_S / RATES.per_recipient
    assert other.status == 202


def test_repeated_redeem_of_an_own_reservation_is_answered_when_the_recipient_is_limited(app: AppClient) -> None:
    """Repeats cost nothing, and no limit stands before the answer to one."""
    codes = [app.issue() for _ in range(RATES.per_recipient)]

    async def redeems() -> list[AsgiResponse]:
        first = [await ask(app, "198.51.100.1", VICTIM, codes[0]) for _ in range(3 * RATES.per_recipient)]
        rest = [await ask(app, "198.51.100.1", VICTIM, code) for code in codes[1:]]
        return [*first, *rest, *[await ask(app, "198.51.100.1", VICTIM, code) for code in codes]]

    answers = inside(app, redeems)

    repeats = 3 * RATES.per_recipient - 1
    recipient_limit = RATES.per_recipient
    assert [response.status for response in answers] == [
        202,
        *[200] * repeats,
        *[202] * (recipient_limit - 1),
        *[200] * recipient_limit,
    ]


def test_refused_redeem_does_not_count_as_an_invitation_and_keeps_its_answer(app: AppClient) -> None:
    """A used-up code stays used up, before and beyond the limit."""
    full = app.issue()
    assert app.redeem(full, "first@example.com").status_code == 202
    codes = [app.issue() for _ in range(RATES.per_recipient)]

    async def redeems() -> list[AsgiResponse]:
        before = [await ask(app, "198.51.100.1", VICTIM, full) for _ in range(3 * RATES.per_recipient)]
        accepted = [await ask(app, "198.51.100.1", VICTIM, code) for code in codes]
        return [*before, *accepted, await ask(app, "198.51.100.1", VICTIM, full)]

    answers = inside(app, redeems)

    assert {response.code for response in answers[: 3 * RATES.per_recipient]} == {"CODE_HELD"}
    assert [response.status for response in answers[3 * RATES.per_recipient : -1]] == [202] * RATES.per_recipient
    assert answers[-1].code == "CODE_HELD"


def test_again_chain_of_one_recipient_is_limited(app: AppClient) -> None:
    """A code of many uses sends no stream of emails to one address."""
    answers = redeem_again(app, app.issue(make_template(max_uses=None)), RATES.again + 2)

    assert [response.status for response in answers] == [202] * (RATES.again + 1) + [429]
    assert "用同一兑换码再次兑换" in answers[-1].body["detail"]


def test_new_recipients_of_an_open_code_are_limited_by_client_address(app: AppClient) -> None:
    code = app.issue(make_template(max_uses=None, bound=False))

    async def strangers() -> list[AsgiResponse]:
        return [await ask(app, "198.51.100.7", f"stranger{n}@example.com", code) for n in range(150)]

    answers = inside(app, strangers)
    elsewhere = inside(app, lambda: ask(app, "198.51.100.8", "stranger149@example.com", code))

    statuses = [response.status for response in answers]
    assert statuses[: RATES.per_address] == [202] * RATES.per_address
    assert 45 <= statuses.count(429) <= 50
    assert elsewhere.status == 202


def test_codes_of_one_person_each_are_not_limited_by_client_address(app: AppClient) -> None:
    """A thousand customers behind one address do not limit each other."""
    codes = [app.issue() for _ in range(RATES.per_address + 10)]

    async def customers() -> set[int]:
        return {(await ask(app, "198.51.100.7", f"c{n}@example.com", code)).status for n, code in enumerate(codes)}

    assert inside(app, customers) == {202}


def test_api_key_is_limited_by_recipient_and_never_by_address(app: AppClient) -> None:
    """A shop's server redeems for many people from one address."""
    shop, open_code = (
        {"authorization": app.key("admin")["Authorization"]},
        app.issue(make_template(max_uses=None, bound=False)),
    )
    codes = [app.issue() for _ in range(RATES.per_recipient + 1)]
    path = "/api/v1/redemptions"

    async def redeems() -> list[int]:
        many = [
            await ask(app, "198.51.100.7", f"c{n}@example.com", open_code, path=path, headers=shop)
            for n in range(RATES.per_address + 10)
        ]
        one = [await ask(app, "198.51.100.7", VICTIM, code, path=path, headers=shop) for code in codes]
        return [response.status for response in (*many, *one)]

    statuses = inside(app, redeems)

    assert statuses == [202] * (RATES.per_address + 10 + RATES.per_recipient) + [429]


def test_concurrent_redeems_do_not_pass_the_recipient_limit_together(app: AppClient) -> None:
    """They are under way at the same time, so each counts before its answer is known."""
    codes = [app.issue() for _ in range(40)]

    async def redeems() -> list[AsgiResponse]:
        return await asyncio.gather(*(ask(app, f"198.51.100.{n}", VICTIM, code) for n, code in enumerate(codes)))

    statuses = [response.status for response in inside(app, redeems)]

    assert (statuses.count(202), statuses.count(429)) == (RATES.per_recipient, 40 - RATES.per_recipient)


def test_correction_counts_for_its_new_recipient(app: AppClient) -> None:
    """Else corrections would be the way around."""
    for code in [app.issue() for _ in range(RATES.per_recipient)]:
        assert app.redeem(code, VICTIM).status_code == 202
    code = app.issue()
    mine = app.redeem(code, "mistyped@example.com").json()

    body = {"email": VICTIM, "code": code, "correction_token": mine.get("correction_token", "")}
    corrected = app.client.post(f"/api/v1/public/redemptions/{mine['reservation_id']}/correct-recipient", json=body)

    assert (corrected.status_code, corrected.json()["code"]) == (429, "RATE_LIMITED")
    assert app.client.get(f"/api/v1/public/redemptions/{mine['reservation_id']}").json()["state"] == "reserved"


@pytest.mark.parametrize(
    ("language", "words"), [("zh-CN", "该邮箱短时间内请求的邀请过多"), ("en", "Too many invitations were requested")]
)
def test_limited_form_says_why_and_when_in_its_language(app: AppClient, language: str, words: str) -> None:
    for code in [app.issue() for _ in range(RATES.per_recipient)]:
        assert app.redeem(code, VICTIM).status_code == 202
    form = {"email": VICTIM, "code": app.issue()}

    page = app.client.post("/invite", data=form, headers={"accept-language": language, "accept": "text/html"})

    assert page.status_code == 429
    assert int(page.headers["retry-after"]) > 0
    assert words in page.text


def test_switch_for_load_tests_ends_the_limits_on_invitations(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEDGER_RATE_LIMIT", "off")
    settings = settings_over(database_url, monkeypatch, tmp_path)
    with started(settings) as app:
        statuses = {app.redeem(app.issue(), VICTIM).status_code for _ in range(2 * RATES.per_recipient)}
        again = {
            response.status for response in redeem_again(app, app.issue(make_template(max_uses=None)), 2 * RATES.again)
        }

    assert statuses == again == {202}
    assert settings.notices_hourly_max is None


def test_invitations_of_a_recipient_count_in_another_process(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two backends over one database; what one accepted counts in the other."""
    settings = settings_over(database_url, monkeypatch, tmp_path)
    with started(settings) as first, started(settings) as second:
        assert {first.redeem(first.issue(), VICTIM).status_code for _ in range(RATES.per_recipient)} == {202}
        guard = second.services.guard
        assert guard is not None
        digest = second.services.storage.vault.draft_recipient(_address(VICTIM), uuid4()).digests[0]
        table = guard.invitations.tables["recipient"]
        wait_for(lambda: len(table) > 0)

        assert table.remaining(digest, guard._clock()) == 0
        assert second.redeem(second.issue(), VICTIM).status_code == 429


def _address(typed: str) -> EmailAddress:
    return EmailAddress.parse(typed)


def create_campaign(app: AppClient, **terms: int) -> UUID:
    response = app.client.post("/api/v1/campaigns", json={"name": "Spring", **terms}, headers=app.key("admin"))
    assert response.status_code == 201, response.text
    return UUID(response.json()["id"])


def test_answers_beyond_the_limit_of_the_day_are_equal_for_people_with_and_without_uses(app: AppClient) -> None:
    """A person who has reached the limit per person receives the answer of a stranger."""
    campaign = create_campaign(app, max_per_person=1, max_per_day=2)
    codes = [app.issue(make_template(max_uses=None, bound=False, campaign_id=campaign)) for _ in range(2)]
    people = ["a@example.com", "b@example.com", *(f"stranger{number}@example.com" for number in range(3))]

    async def redeems() -> list[AsgiResponse]:
        for email in people[:2]:
            await ask(app, "198.51.100.1", email, codes[0])
        return [await ask(app, "198.51.100.2", email, codes[1]) for email in people]

    assert [response.code for response in inside(app, redeems)] == ["CAMPAIGN_DAY_LIMIT"] * len(people)


@pytest.mark.parametrize(
    ("terms", "first", "later"),
    [
        ({"max_uses": 2, "bound": False}, [(200, None), (400, "CODE_EXHAUSTED")], {(400, "CODE_EXHAUSTED")}),
        ({"max_uses": 1}, [(200, None), (400, "EMAIL_MISMATCH")], {(429, "RATE_LIMITED")}),
    ],
)
def test_client_learns_of_a_bounded_number_of_people_whether_they_have_uses(
    app: AppClient, terms: dict[str, Any], first: list[object], later: set[object]
) -> None:
    """Beyond the limit the free answers are equal for people with and without uses; own reservations are answered."""
    code, full = app.issue(make_template(**terms)), app.issue()
    members = [f"member{number}@example.com" for number in range(terms["max_uses"])]
    for email in members:
        app.attempt(app.redeem(code, email).json()["reservation_id"])
    app.attempt(app.redeem(full, "first@example.com").json()["reservation_id"])
    prober, asked = "198.51.100.9", [members[-1], "stranger@example.com"]

    async def redeems() -> list[list[AsgiResponse]]:
        first_answers = [await ask(app, "198.51.100.8", email, code) for email in asked]
        for client in ("198.51.100.8", prober):
            for number in range(RATES.per_address):
                await ask(app, client, f"stranger{number}@example.com", full)
        return [
            first_answers,
            *[[await ask(app, client, email, code) for email in asked] for client in (prober, "198.51.100.8")],
        ]

    first_answers, probes, repeated = inside(app, redeems)

    assert [(response.status, response.code) for response in first_answers] == first
    assert {(response.status, response.code) for response in probes} == later
    assert repeated[0].status == 200


def test_limit_of_a_person_is_hidden_beyond_the_limit_and_new_people_still_redeem(app: AppClient) -> None:
    """A person without uses costs an invitation, so they cannot be asked about for nothing."""
    campaign = create_campaign(app, max_per_person=1)
    used, code = (app.issue(make_template(max_uses=None, bound=False, campaign_id=campaign)) for _ in range(2))
    members = [f"member{number}@example.com" for number in range(RATES.per_address + 5)]

    async def redeems() -> tuple[list[AsgiResponse], AsgiResponse]:
        for number, email in enumerate(members):
            await ask(app, f"198.51.100.{number}", email, used)
        probes = [await ask(app, "203.0.113.9", email, code) for email in members]
        return probes, await ask(app, "203.0.113.9", "new@example.com", code)

    probes, new = inside(app, redeems)

    answers = [response.code for response in probes]
    assert answers == ["PERSON_LIMIT"] * RATES.per_address + ["RATE_LIMITED"] * 5
    assert "其他邮箱" in probes[-1].body["detail"]
    assert new.status == 202


@pytest.mark.usual_world("a waiting list of as many people as a client may ask about")
def test_place_on_a_waiting_list_is_hidden_beyond_the_limit_and_new_people_still_join(app: AppClient) -> None:
    """Who waits is learned of as few people as who has a use; a person who does not wait costs a place and an email."""
    campaign = create_campaign(app, max_uses=1, waiting_hours=24)
    code = app.issue(make_template(max_uses=None, bound=False, campaign_id=campaign))
    members = [f"member{number}@example.com" for number in range(RATES.per_address + 5)]
    join = partial(ask, app, path="/api/v1/public/waiting-list")

    async def joins() -> tuple[list[AsgiResponse], AsgiResponse, AsgiResponse]:
        await ask(app, "198.51.100.1", "first@example.com", code)
        for number, email in enumerate(members):
            await join(f"198.51.100.{number}", email, code)
        probes = [await join("203.0.113.9", email, code) for email in members]
        own = await join(f"198.51.100.{len(members) - 1}", members[-1], code)
        return probes, await join("203.0.113.9", "new@example.com", code), own

    probes, new, own = inside(app, joins)

    answers = [response.code or response.body["state"] for response in probes]
    assert answers == ["listed"] * RATES.per_address + ["RATE_LIMITED"] * 5
    assert (new.body["state"], own.body["state"]) == ("waiting", "listed")
