"""Guesses through the whole application are limited, while customers with a code still get right answers."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from uuid import uuid4

import pytest

from api.rate_limits.breaker import UNKNOWN_MAX
from api.rate_limits.guard import ADDRESS, EVERYBODY, SHORT
from api.settings import ApiSettings
from domain.commands.code.issue import IssueCode
from domain.commands.context import CommandContext
from domain.values.identifiers import generate_code
from tests.support.clients.app_client import AppClient
from tests.support.clients.asgi_requests import AsgiResponse, ask, inside
from tests.support.clients.in_process_app import settings_over, started
from tests.support.ledger.code_template import make_template
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.settings import NO_STREAM

ADDRESSES = 100
GUESSES = {"dead": 10_000, "alive": 2_000}
"""By how the broker is."""
SHORT_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
PATIENCE_S = 0.25
"""Each request takes longer if all wait for the broker."""


@pytest.fixture
def app(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[AppClient]:
    settings = settings_over(database_url, monkeypatch, tmp_path)
    if getattr(request, "param", "dead") == "alive":
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_url"))
        settings = ApiSettings.from_environment()
    else:
        assert settings.redis_url.get_secret_value() == NO_STREAM
    with started(settings) as app_client:
        yield app_client


def old_code(app: AppClient, text: str, max_uses: int = 1) -> str:
    """A code of an older system, as it is taken over."""
    services, code_id = app.services, uuid4()
    context = CommandContext(now=services.now(), actor="operator")
    code = services.storage.vault.draft_code(text, code_id)
    services.storage.ledger.execute(
        [IssueCode(context=context, code_id=code_id, text=code, terms=make_terms(max_uses=max_uses), bound=False)]
    )
    return text


def address(number: int) -> str:
    return f"198.51.100.{number % ADDRESSES}"


def guessed(chance: random.Random) -> str:
    """A short old code, a long one, or one as they are made here: none of them exists."""
    kind = chance.random()
    if kind < 0.03:
        return generate_code(chance)
    return "".join(chance.choices(SHORT_ALPHABET, k=8 if kind < 0.6 else 24))


@pytest.mark.parametrize(("app", "number"), GUESSES.items(), ids=GUESSES, indirect=["app"])
def test_ten_thousand_guesses_from_a_hundred_addresses(app: AppClient, number: int) -> None:
    chance = random.Random(9)
    native, short = app.issue(make_template(max_uses=None, bound=False)), old_code(app, "SHRT2345", max_uses=1_000)

    async def questions() -> tuple[list[AsgiResponse], list[AsgiResponse]]:
        guesses, good = [], []
        for nth in range(number):
            guesses.append(await ask(app, address(nth), f"g{nth}@example.com", guessed(chance)))
            if nth % 200 == 199:
                good.append(await ask(app, address(nth), f"a{nth}@example.com", native))
                good.append(await ask(app, f"192.0.2.{nth // 200}", f"b{nth}@example.com", short))
        return guesses, good

    guesses, good = inside(app, questions)
    counts = Counter((response.status, response.code) for response in guesses)
    times_s = [response.seconds for response in guesses + good]

    assert [(response.status, response.code) for response in good] == [(202, None)] * len(good)
    assert set(counts) == {(400, "CODE_INVALID"), (429, "RATE_LIMITED")}
    assert counts[400, "CODE_INVALID"] <= ADDRESSES * ADDRESS.burst / 2
    assert median(times_s) < PATIENCE_S
    assert all(int(response.headers["retry-after"]) > 0 for response in guesses if response.status == 429)


def test_real_code_gets_the_true_answer_after_guesses_by_anyone(app: AppClient) -> None:
    """The incident's own words for a used-up code, the reservation for its owner, while the breaker is open."""
    used_up, mine = app.issue(make_template(max_uses=1, bound=False)), app.issue()
    app.attempt(app.redeem(used_up, "first@example.com").json()["reservation_id"])
    here = app.redeem(mine).json()["reservation_id"]
    chance = random.Random(1)

    async def questions() -> list[AsgiResponse]:
        for number in range(2 * UNKNOWN_MAX):
            await ask(app, address(number), f"g{number}@example.com", guessed(chance))
        zh = {"accept-language": "zh-CN"}
        return [
            await ask(app, address(1), "li.wei@example.com", used_up, headers=zh),
            await ask(app, address(1), "li.wei@example.com", mine, headers=zh),
            await ask(app, address(1), "li.wei@example.com", "NOSUCH22", headers=zh),
            await ask(app, address(1), "li.wei@example.com", "NOSUCH22", headers={"accept-language": "en"}),
        ]

    true, repeated, limited, english = inside(app, questions)

    assert (true.status, true.code) == (400, "CODE_EXHAUSTED")
    assert "兑换码已用完" in true.body["detail"]
    assert (repeated.status, repeated.body["reservation_id"]) == (200, here)
    assert (limited.status, limited.code) == (429, "RATE_LIMITED")
    assert "没有扣除次数" in limited.body["detail"]
    assert "No use was taken" in english.body["detail"]
    assert limited.headers["retry-after"]


def test_short_old_code_is_not_looked_up_beyond_the_limit(app: AppClient) -> None:
    """Right or wrong, the answer is the same, so a guesser learns nothing; another address redeems it."""
    text = old_code(app, "A7K2M9QX")

    async def questions() -> list[AsgiResponse]:
        for number in range(ADDRESS.burst):
            await ask(app, "198.51.100.1", "g@example.com", f"WRONG{number}")
        return [
            await ask(app, "198.51.100.1", "g@example.com", "WRONG999"),
            await ask(app, "198.51.100.1", "g@example.com", text),
            await ask(app, "192.0.2.1", "li.wei@example.com", text),
        ]

    wrong, right, elsewhere = inside(app, questions)

    assert wrong.body | {"instance": ""} == right.body | {"instance": ""}
    assert wrong.headers["ratelimit"] == right.headers["ratelimit"]
    assert (wrong.status, elsewhere.status) == (429, 202)


def test_every_public_route_that_tests_a_code_has_the_same_limits(app: AppClient) -> None:
    reservation = app.redeem(app.issue()).json()["reservation_id"]

    async def correct(number: int) -> AsgiResponse:
        path = f"/api/v1/public/redemptions/{reservation}/correct-recipient"
        return await ask(app, "203.0.113.5", "li@example.com", f"WRONG{number}", path=path)

    async def corrections() -> list[AsgiResponse]:
        return [await correct(number) for number in range(ADDRESS.burst)]

    api = [response.status for response in inside(app, corrections)]
    form = {"email": "li@example.com", "code": "WRONG"}
    pages = [app.client.post("/invite", data={**form, "code": f"PAGE{n}"}).status_code for n in range(ADDRESS.burst)]
    mended = app.client.post(f"/r/{reservation}/correct", data=form)

    assert api == pages == [400] * 5 + [429] * 5
    assert mended.status_code == 429
    assert 0 < int(mended.headers["retry-after"]) <= SHORT.period_s
    assert f"{mended.headers['retry-after']} 秒" in mended.text


def test_limits_can_be_switched_off(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEDGER_RATE_LIMIT", "off")
    with started(settings_over(database_url, monkeypatch, tmp_path)) as app:
        answers = [app.redeem(f"WRONG{number}") for number in range(2 * ADDRESS.burst)]

    assert {answer.status_code for answer in answers} == {400}
    assert "ratelimit" not in answers[0].headers


def test_new_addresses_share_a_little_while_the_breaker_is_open(app: AppClient) -> None:
    """However many addresses a guesser has, a minute's tries of old codes are bounded."""

    async def questions() -> list[AsgiResponse]:
        return [
            await ask(app, f"10.{number >> 8}.{number & 255}.1", f"g{number}@example.com", f"WRONG{number}")
            for number in range(1_000)
        ]

    looked_up = [response for response in inside(app, questions) if response.status == 400]

    assert UNKNOWN_MAX + EVERYBODY.burst <= len(looked_up) <= UNKNOWN_MAX + 4 * EVERYBODY.burst
