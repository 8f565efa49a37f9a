from uuid import UUID

import pytest

from domain.ports import Accepted, OutboundMessage, Outcome, OutcomeUnknown, Rejected
from tests.support.channel_builders import MAIL_FROM, MESSAGE
from workers.channels.default_channel import NullSendLoop, open_channel
from workers.channels.group_router import COOLDOWN_S, Cooldowns, GroupLimiter
from workers.channels.smtp.addresses import MailFrom
from workers.channels.smtp.connection_window import RECOVERY_S, REST_FIRST_S, REST_LONGEST_S, ConnectionWindow
from workers.channels.smtp.server_url import Security, SmtpServerUrl


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://127.0.0.1:2525", SmtpServerUrl("127.0.0.1", 2525, Security.NONE)),
        ("smtp://mail.example.com/", SmtpServerUrl("mail.example.com", 25, Security.NONE)),
        ("SMTPS://mail.example.com", SmtpServerUrl("mail.example.com", 465, Security.TLS)),
        ("smtp+starttls://例子.测试", SmtpServerUrl("xn--fsqu00a.xn--0zwm56d", 587, Security.STARTTLS)),
        ("smtp://u:p@localhost", SmtpServerUrl("localhost", 25, Security.NONE, "u", "p")),
        ("smtp://u:p@[::1]:26", SmtpServerUrl("::1", 26, Security.NONE, "u", "p")),
        (
            "smtps://a%40b.test:p%3A%2F%25@mail.example.com",
            SmtpServerUrl("mail.example.com", 465, Security.TLS, "a@b.test", "p:/%"),
        ),
    ],
)
def test_url_names_server_security_and_login(url: str, expected: SmtpServerUrl) -> None:
    assert expected == SmtpServerUrl.parse(url)


def test_server_is_shown_as_host_and_port() -> None:
    assert str(SmtpServerUrl.parse("smtps://u:p@mail.example.com")) == "mail.example.com:465"
    assert str(SmtpServerUrl.parse("smtp://[::1]")) == "[::1]:25"


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "write smtp://"),
        ("mail.example.com:25", "write smtp://"),
        ("http://mail.example.com", "write smtp://"),
        ("smtp://", "write smtp://"),
        ("smtp://:25", "write smtp://"),
        ("smtp://mail.example.com:0", "1-65535"),
        ("smtp://mail.example.com:99999", "1-65535"),
        ("smtp://mail.example.com:x", "1-65535"),
        ("smtp://[::1", "write smtp://"),
        ("smtp://mail.example.com/path", "percent-encode"),
        ("smtps://user:hush/hush@mail.example.com", "percent-encode"),
        ("smtps://user:hush#hush@mail.example.com", "percent-encode"),
        ("smtps://user:hush@mail.exam\nple.com", "control characters"),
        ("smtps://user:hush%0Ahush@mail.example.com", "percent-encoded"),
        ("smtps://user@mail.example.com", "user:password@"),
        ("smtps://:hush@mail.example.com", "user:password@"),
        ("smtp://user:hush@mail.example.com", "write smtp+starttls:// or smtps://"),
        ("smtp://user:hush@10.0.0.5", "write smtp+starttls:// or smtps://"),
    ],
)
def test_malformed_url_is_answered_with_a_remedy_and_never_repeated(url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as error:
        open_channel(url, mail_from=MAIL_FROM, timeout_s=5)

    assert remedy in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("mail_from", "address", "header"),
    [
        ("ledger@localhost.localdomain", "ledger@localhost.localdomain", "ledger@localhost.localdomain"),
        ("Ledger <l@example.com>", "l@example.com", '"Ledger" <l@example.com>'),
        ("l@例子.测试", "l@xn--fsqu00a.xn--0zwm56d", "l@xn--fsqu00a.xn--0zwm56d"),
        ("账本 <l@example.com>", "l@example.com", "=?utf-8?b?6LSm5pys?= <l@example.com>"),
    ],
)
def test_sender_has_an_ascii_address_and_header(mail_from: str, address: str, header: str) -> None:
    assert MailFrom(address, header) == MailFrom.parse(mail_from)


@pytest.mark.parametrize(
    "mail_from", ["", "ledger", "a@b.test, c@d.test", "a@b.test\r\nBcc: c@d.test", "账本@example.com", "a@-.-测"]
)
def test_bad_sender_is_refused_at_once(mail_from: str) -> None:
    """A sender that not every server can carry is found at start, not with the first letter."""
    with pytest.raises(ValueError, match="LEDGER_MAIL_FROM"):
        open_channel("smtp://127.0.0.1", mail_from=mail_from, timeout_s=5)


def test_message_needs_time() -> None:
    with pytest.raises(ValueError, match="LEDGER_SMTP_TIMEOUT_S"):
        open_channel("smtp://127.0.0.1", mail_from=MAIL_FROM, timeout_s=0)


def test_null_send_loop_accepts_and_reports_each_message() -> None:
    """A load test without a mail server measures the same steps but the dialogue."""
    reported: list[tuple[OutboundMessage, Outcome, float]] = []
    loop = NullSendLoop(lambda *sent: reported.append(sent))

    outcome = loop.submit([MESSAGE])[0].result(0)

    assert outcome == Accepted(server="null")
    assert reported == [(MESSAGE, outcome, 0.0)]


IDS = [UUID(int=number) for number in range(1, 9)]
SLOW, FAST = dict.fromkeys(IDS[:5], "slow"), dict.fromkeys(IDS[5:], "fast")
SILENCE: list[Outcome] = [
    Rejected(server="x", reason="unreachable", final=False),
    OutcomeUnknown(server="x", cause="timeout"),
    OutcomeUnknown(server="x", cause="connection_lost"),
]


def test_mail_goes_in_order_and_each_once() -> None:
    limiter = GroupLimiter([*IDS, *IDS], {}, 2, Cooldowns())

    assert [limiter.acquire(3), limiter.acquire(3), limiter.acquire(9)] == [IDS[:3], IDS[3:6], IDS[6:]]
    assert not limiter


def test_group_gets_only_its_share_of_the_concurrency() -> None:
    limiter = GroupLimiter(IDS, SLOW, 2, Cooldowns())

    assert limiter.acquire(4) == [*IDS[:2], *IDS[5:7]]
    assert limiter.acquire(4) == [IDS[7]]
    assert limiter.acquire(4) == []
    assert limiter
    limiter.release([IDS[0], IDS[7]])
    assert limiter.acquire(4) == [IDS[2]]


def test_system_that_does_not_answer_rests() -> None:
    seconds = 0.0
    cooldowns = Cooldowns(lambda: seconds)
    for outcome in SILENCE:
        limiter = GroupLimiter(IDS, {**SLOW, **FAST}, 2, cooldowns)
        limiter.record(IDS[0], outcome)
        assert limiter.acquire(9) == IDS[5:7]
        assert limiter.acquire(9) == []
        assert limiter
        seconds += COOLDOWN_S
        assert not cooldowns.is_active("slow")
    limiter.record(IDS[0], SILENCE[0])
    limiter.record(IDS[1], Accepted(server="x"))
    assert not cooldowns.is_active("slow")


def test_limits_take_no_more_mail_than_there_are_connections_for() -> None:
    limiter = GroupLimiter(IDS, FAST, 2, Cooldowns(), lambda: 2)

    assert limiter.acquire(8) == [*IDS[:2], *IDS[5:7]]
    assert limiter.acquire(8) == []
    limiter.release([IDS[0]])
    assert limiter.acquire(8) == [IDS[2]]


def test_limits_leave_mail_to_the_sweep_while_its_server_lets_no_connection_in() -> None:
    limiter = GroupLimiter(IDS, FAST, 2, Cooldowns(), lambda: 0)

    assert limiter.acquire(8) == IDS[5:7]
    limiter.release(IDS[5:7])
    assert limiter.acquire(8) == [IDS[7]]
    assert not limiter


MOST = 16


def test_window_halves_once_for_refusals_that_were_begun_together() -> None:
    """Connections begun before the window shrank say nothing about the smaller one."""
    window = ConnectionWindow(MOST)
    for now in (1.0, 1.1, 1.2):
        window.record_refusal(now, begun_at=0.5, established=12, chance=0.0)

    assert window.allowed == 8
    window.record_refusal(2.0, begun_at=1.5, established=12, chance=0.0)
    assert window.allowed == 4


def test_window_shrinks_to_the_connections_that_the_server_granted() -> None:
    window = ConnectionWindow(MOST)
    window.record_refusal(1.0, begun_at=0.5, established=2, chance=0.0)

    assert window.allowed == 2


def test_window_never_falls_below_one() -> None:
    window = ConnectionWindow(MOST)
    for now in range(1, 50):
        window.record_refusal(float(now), begun_at=now - 0.5, established=now % 2, chance=0.5)

        assert window.allowed >= 1


def test_window_grows_by_one_after_each_time_without_refusal() -> None:
    window = ConnectionWindow(4)
    window.record_refusal(0.0, begun_at=-1.0, established=1, chance=0.0)
    sizes = []
    for step in range(1, 7):
        window.grow(step * RECOVERY_S - 0.1)
        window.grow(step * RECOVERY_S)
        sizes.append(window.allowed)

    assert sizes == [2, 3, 4, 4, 4, 4]
    assert not window.is_limited


def test_window_rests_longer_after_each_refusal_while_nothing_is_open() -> None:
    window, now, cooldowns = ConnectionWindow(MOST), 0.0, []
    for _ in range(8):
        window.record_refusal(now, begun_at=now, established=0, chance=0.0)
        begun = now
        while window.is_resting(now):
            now += 0.5
        cooldowns.append(now - begun)

    assert cooldowns[:3] == [REST_FIRST_S, REST_FIRST_S * 2, REST_FIRST_S * 4]
    assert cooldowns[-1] == REST_LONGEST_S
    window.record_refusal(now, begun_at=now, established=0, chance=1.0)
    assert window.is_resting(now + REST_LONGEST_S * 1.2)
    window.record_success()
    assert not window.is_resting(now)


def test_window_comes_back_fast_to_half_its_size_after_an_outage() -> None:
    """A server that was away is not one that limits: each connection that it lets in allows one more."""
    window = ConnectionWindow(MOST)
    for now in (1.0, 2.0, 4.0):
        window.record_refusal(now, begun_at=now, established=0, chance=0.0)
    assert window.allowed == 1
    for _ in range(MOST):
        window.record_success()

    assert window.allowed == MOST // 2
