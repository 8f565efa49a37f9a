"""Hooks of mail providers: what they sign is recorded once; forged, stale and unconfigured requests are refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from api.use_cases.mail_hooks.hook import BODY_BYTES_MAX
from api.use_cases.mail_hooks.providers import open_mail_hook
from domain.values.mail.mail_provider import PROVIDERS, MailProvider
from domain.values.mail.mail_token import MailRef, mail_token
from projections.database.clock import CLOCK_REFRESH_S
from projections.database.errors import StorageUnavailableError
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.ledger.code_template import make_template
from tests.support.mail_providers import SUBSCRIBE_URL, FakeProvider, FakeSes, Posted, fake_providers

PROVIDERS_WITH_TIME = [provider for provider in PROVIDERS if provider != "postmark"]


@dataclass
class HookBench:
    """A ledger whose emails a provider sends."""

    app: AppClient
    provider: MailProvider
    fake: FakeProvider

    def sent(self) -> tuple[str, str]:
        code, email = self.app.issue(make_template(max_uses=1)), f"{uuid4().hex}@example.com"
        reservation_id = str(self.app.redeem(code, email).json()["reservation_id"])
        self.app.attempt(reservation_id)
        return reservation_id, self.token_of(UUID(reservation_id))

    def token_of(self, reservation_id: UUID) -> str:
        services = self.app.services
        secret = services.settings.secret_key.get_secret_value().encode()
        return mail_token(secret, MailRef("invite", reservation_id, 1), services.now())

    def post(self, posted: Posted, provider: str | None = None) -> AppResponse:
        path = f"/api/v1/callbacks/mail/{provider or self.provider}"
        return cast("AppResponse", self.app.client.post(path, content=posted.body, headers=dict(posted.headers)))

    def report(self, event: object) -> dict[str, int]:
        answer = self.post(self.fake.post(event, self.app.services.now()))
        assert answer.status_code == 200, answer.text
        return cast("dict[str, int]", answer.json())

    def history(self, reservation_id: str) -> list[Any]:
        histories = self.app.services.reader.read_reservation_events([UUID(reservation_id)])
        return [event for _, event in histories[UUID(reservation_id)].events]

    def names(self, reservation_id: str) -> list[str]:
        names = [type(event).__name__ for event in self.history(reservation_id)]
        return names[names.index("InviteSent") + 1 :]


@pytest.fixture(params=PROVIDERS)
def bench(app: AppClient, request: pytest.FixtureRequest) -> Iterator[HookBench]:
    with ConfiguredProvider(app, request.param) as configured:
        yield configured


@pytest.fixture
def ses_bench(app: AppClient) -> Iterator[HookBench]:
    with ConfiguredProvider(app, "ses") as configured:
        yield configured


class ConfiguredProvider:
    """Let the application have a provider for a while."""

    def __init__(self, app: AppClient, provider: MailProvider) -> None:
        self._state = cast("Any", app.client.app).state
        self._services, self._app, self._provider = app.services, app, provider

    def __enter__(self) -> HookBench:
        fake = fake_providers()[self._provider]
        fetch = fake.fetch if isinstance(fake, FakeSes) else lambda _: None
        settings = self._services.settings.model_copy(update={"mail_provider": self._provider})
        self._state.services = replace(self._services, settings=settings)
        self._state.mail_hook = open_mail_hook(self._provider, fake.secret, fetch)
        return HookBench(self._app, self._provider, fake)

    def __exit__(self, *_: object) -> None:
        self._state.services, self._state.mail_hook = self._services, None


def test_bounce_is_recorded_once_and_opens_a_case(bench: HookBench) -> None:
    reservation_id, token = bench.sent()
    posted = bench.fake.post(bench.fake.bounce(token), bench.app.services.now())
    answers = [bench.post(posted) for _ in range(2)]

    assert [answer.json() for answer in answers] == [{"taken": 1, "ignored": 0}, {"taken": 0, "ignored": 1}]
    bounced, case = bench.history(reservation_id)[-2:]
    assert (bounced.reason, bounced.reply_code, bounced.mail) == ("mailbox_unknown", 550, "invite")
    assert (bounced.actor, bounced.actor_id, case.cause) == ("channel", bench.provider, "bounced")
    said, _, raw = str(bench.app.services.reader.find_private_text(bounced.text_id)).partition("\n\n")
    event = bench.fake.bounce(token)
    assert "5.1.1" in said
    assert json.loads(raw) == (event[0] if isinstance(event, list) else event)


def test_delay_is_recorded_and_opens_no_case(bench: HookBench) -> None:
    """The provider continues to try."""
    reservation_id, token = bench.sent()

    assert bench.report(bench.fake.delay(token)) == {"taken": 1, "ignored": 0}
    assert bench.names(reservation_id) == ["InviteDelayed"]


def test_complaint_is_recorded(bench: HookBench) -> None:
    """Also where the token is in the return path alone."""
    reservation_id, token = bench.sent()

    assert bench.report(bench.fake.complaint(token)) == {"taken": 1, "ignored": 0}
    assert bench.names(reservation_id) == ["InviteComplained"]


@pytest.mark.parametrize("kind", ["bounce", "delay", "complaint"])
def test_request_that_is_replayed_changes_nothing(bench: HookBench, kind: str) -> None:
    reservation_id, token = bench.sent()
    posted = bench.fake.post(getattr(bench.fake, kind)(token), bench.app.services.now())
    first, again = (bench.post(posted).json() for _ in range(2))
    if kind == "bounce":
        path = f"/api/v1/reservations/{reservation_id}/resolve"
        assert (
            bench.app.client.post(
                path, json={"as": "sent", "note": "it arrived"}, headers=bench.app.key("support")
            ).status_code
            == 200
        )
    names, balance = bench.names(reservation_id), bench.app.count("cases")
    late = bench.post(posted).json()

    assert [each["taken"] for each in (first, again, late)] == [1, 0, 0]
    assert (bench.names(reservation_id), bench.app.count("cases")) == (names, balance)


def test_event_that_mailgun_did_not_sign_needs_the_token_of_its_email(app: AppClient) -> None:
    """The signature is over a time and a random text: anyone who has it may post events about emails that they know."""
    with ConfiguredProvider(app, "mailgun") as bench:
        (overheard, token), (other, _) = bench.sent(), bench.sent()
        posted = bench.fake.post(bench.fake.delivered(token), app.services.now())
        signature = json.loads(posted.body)["signature"]
        guesses = [
            mail_token(secret, MailRef("invite", UUID(other), 1), app.services.now())
            for secret in (b"", b"guessed", bench.fake.secret.encode())
        ]
        bodies = [{"signature": signature, "event-data": bench.fake.bounce(each)} for each in (*guesses, token)]
        answers = [bench.post(Posted(posted.headers, json.dumps(body).encode())).json() for body in bodies]

        assert [answer["taken"] for answer in answers] == [0, 0, 0, 1]
        assert (bench.names(other), bench.names(overheard)) == ([], ["InviteBounced", "CaseOpened"])


def test_event_of_another_kind_is_ignored(bench: HookBench) -> None:
    """Operators may subscribe to more than the ledger reads."""
    reservation_id, token = bench.sent()

    assert bench.report(bench.fake.delivered(token)) == {"taken": 0, "ignored": 1}
    assert bench.names(reservation_id) == []


def test_report_without_a_valid_token_is_accepted_and_changes_nothing(bench: HookBench) -> None:
    """Providers repeat what is refused; emails of other systems share an account with the ledger's."""
    labels = {"source": bench.provider, "outcome": "no_token"}
    counted = count_reports(**labels)
    reservation_id, token = bench.sent()
    forged = ("b" if token[0] == "a" else "a") + token[1:]

    assert bench.report(bench.fake.bounce(forged)) == {"taken": 0, "ignored": 1}
    assert bench.report(bench.fake.bounce("")) == {"taken": 0, "ignored": 1}
    assert bench.names(reservation_id) == []
    assert count_reports(**labels) == counted + 2


def test_report_about_an_unknown_reservation_changes_nothing(bench: HookBench) -> None:
    """Its token is valid, for example of a ledger that was restored from an older backup."""
    assert bench.report(bench.fake.bounce(bench.token_of(uuid4()))) == {"taken": 0, "ignored": 1}


def test_forged_request_is_refused_and_counted(bench: HookBench) -> None:
    labels = {"source": bench.provider, "outcome": "forged"}
    counted = count_reports(**labels)
    reservation_id, token = bench.sent()
    event, now = bench.fake.bounce(token), bench.app.services.now()
    answers = [
        bench.post(bench.fake.post_forged(event, now)),
        bench.post(bench.fake.post(event, now)._replace(headers={}, body=b"{}")),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "SIGNATURE_INVALID")] * 2
    assert bench.names(reservation_id) == []
    assert count_reports(**labels) == counted + 2


@pytest.mark.parametrize("provider", PROVIDERS_WITH_TIME)
@pytest.mark.parametrize("age", [timedelta(hours=2), timedelta(minutes=-6)])
def test_request_that_was_signed_at_another_time_is_stale(
    app: AppClient, provider: MailProvider, age: timedelta
) -> None:
    with ConfiguredProvider(app, provider) as bench:
        reservation_id, token = bench.sent()
        answer = bench.post(bench.fake.post(bench.fake.bounce(token), app.services.now() - age))

        assert (answer.status_code, answer.json()["code"]) == (400, "CALLBACK_STALE")
        assert bench.names(reservation_id) == []


@pytest.mark.parametrize("provider", PROVIDERS_WITH_TIME)
def test_request_is_accepted_after_the_clock_was_ahead(
    app: AppClient, provider: MailProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database's clock came back, and nothing else was committed since then."""
    clock = app.services.storage.recorder.clock
    with ConfiguredProvider(app, provider) as bench:
        reservation_id, token = bench.sent()
        posted = bench.fake.post(bench.fake.bounce(token), app.services.now())
        monkeypatch.setattr(clock, "_base", clock.now() + timedelta(days=2))
        monkeypatch.setattr(clock, "_base_at", clock._base_at - 2 * CLOCK_REFRESH_S)

        assert bench.post(posted).status_code == 200
        assert "InviteBounced" in bench.names(reservation_id)


def test_hook_of_a_provider_that_is_not_configured_is_not_found(app: AppClient, bench: HookBench) -> None:
    """Neither are names that no provider has, nor any hook of a ledger without a provider."""
    posted = bench.fake.post(bench.fake.bounce("x"), app.services.now())
    others = [name for name in (*PROVIDERS, "unknown") if name != bench.provider]
    codes = {bench.post(posted, name).json()["code"] for name in others}
    cast("Any", app.client.app).state.mail_hook = None

    assert codes == {"NOT_FOUND"}
    assert bench.post(posted).status_code == 404


def test_database_outage_is_answered_so_that_the_provider_repeats(
    bench: HookBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reservation_id, token = bench.sent()
    posted = bench.fake.post(bench.fake.bounce(token), bench.app.services.now())
    with monkeypatch.context() as patch:
        patch.setattr("api.use_cases.mail_reports.has_recipient", unavailable)
        answer = bench.post(posted)

    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    assert bench.post(posted).json() == {"taken": 1, "ignored": 0}
    assert bench.names(reservation_id) == ["InviteBounced", "CaseOpened"]


def entries(batch: object) -> list[object]:
    return cast("list[object]", batch)


def count_reports(**labels: str) -> float:
    return REGISTRY.get_sample_value("ledger_mail_reports_total", labels) or 0


def unavailable(*_: object) -> bool:
    raise StorageUnavailableError("down")


def test_batch_is_recorded_event_by_event(app: AppClient) -> None:
    with ConfiguredProvider(app, "sendgrid") as bench:
        sent = [bench.sent() for _ in range(3)]
        events = [event for _, token in sent for event in entries(bench.fake.bounce(token))]
        noise = [
            *entries(bench.fake.delivered(sent[0][1])),
            *entries(bench.fake.bounce("x")),
            "text",
            None,
            {"event": ["bounce"]},
        ]

        assert bench.report([*noise, *events]) == {"taken": 3, "ignored": 5}
        assert [bench.names(reservation_id) for reservation_id, _ in sent] == [["InviteBounced", "CaseOpened"]] * 3


@pytest.mark.parametrize("events", [{}, [{"event": "open"}] * 1001, None])
def test_batch_of_another_shape_is_malformed(app: AppClient, events: object) -> None:
    with ConfiguredProvider(app, "sendgrid") as bench:
        answer = bench.post(bench.fake.post(events, app.services.now()))

        assert (answer.status_code, answer.json()["code"]) == (422, "MALFORMED")


def test_body_may_be_as_long_as_batches_are(app: AppClient) -> None:
    with ConfiguredProvider(app, "sendgrid") as bench:
        longest = [{"event": "open", "useragent": "x" * 700_000}]
        posted = bench.fake.post([{"event": "open", "useragent": "x" * BODY_BYTES_MAX}], app.services.now())

        assert bench.report(longest) == {"taken": 0, "ignored": 1}
        assert bench.post(posted).status_code == 413


def test_subscription_is_confirmed_once_its_signature_is_verified(ses_bench: HookBench) -> None:
    fake, now = ses_bench.fake, ses_bench.app.services.now()
    assert isinstance(fake, FakeSes)
    about = {"Token": "t0", "SubscribeURL": SUBSCRIBE_URL}
    ended = ses_bench.post(fake.notify(now, "UnsubscribeConfirmation", **about))
    before = fake.fetched.count(SUBSCRIBE_URL)
    confirmed = ses_bench.post(fake.notify(now, "SubscriptionConfirmation", **about))

    assert [ended.json(), confirmed.json()] == [{"taken": 0, "ignored": 1}] * 2
    assert (before, fake.fetched.count(SUBSCRIBE_URL)) == (0, 1)


def test_certificate_that_cannot_be_fetched_is_answered_so_that_the_service_repeats(ses_bench: HookBench) -> None:
    """The message is not lost."""
    fake, (_, token) = ses_bench.fake, ses_bench.sent()
    assert isinstance(fake, FakeSes)
    fake.is_reachable = False
    posted = fake.post(fake.bounce(token), ses_bench.app.services.now())
    answer = ses_bench.post(posted)
    fake.is_reachable = True

    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert ses_bench.post(posted).json() == {"taken": 1, "ignored": 0}


def test_message_that_the_service_repeats_for_an_hour_is_recorded(ses_bench: HookBench) -> None:
    """It signs the time at which the message was published."""
    _, token = ses_bench.sent()
    posted = ses_bench.fake.post(ses_bench.fake.bounce(token), ses_bench.app.services.now() - timedelta(minutes=59))

    assert ses_bench.post(posted).json() == {"taken": 1, "ignored": 0}
