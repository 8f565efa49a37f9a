import pytest

from projections.config.broker_url import BROKER_FORM, BrokerUrl
from projections.config.url_validation import validate_broker_url


@pytest.mark.parametrize(
    ("url", "celery_url", "where"),
    [
        ("redis://h", "redis://h", "h:6379"),
        ("rediss://u:p%40@h:1/2?ssl_cert_reqs=required", "rediss://u:p%40@h:1/2?ssl_cert_reqs=required", "h:1"),
        (
            "sentinel://:p%40@a,b:2/3?master_name=m",
            "sentinel://:p%40@a:26379/3;sentinel://:p%40@b:2/3",
            "a:26379,b:2 (Sentinel, m)",
        ),
        ("sentinel://a?master_name=m", "sentinel://a:26379/0", "a:26379 (Sentinel, m)"),
        ("amqp://u:p@a,b:2/v", "amqp://u:p@a:5672/v;amqp://u:p@b:2/v", "a:5672,b:2"),
        ("amqp://[::1]:5/", "amqp://[::1]:5/%2F", "[::1]:5"),
        ("amqps://u:p@h/%2F", "amqps://u:p@h:5671/%2F", "h:5671"),
    ],
)
def test_each_form_becomes_one_complete_url_for_each_host(url: str, celery_url: str, where: str) -> None:
    broker = BrokerUrl.parse(url)

    assert (broker.celery_url, broker.where) == (celery_url, where)
    assert validate_broker_url(url) == url


def test_logins_are_decoded_and_kept_apart() -> None:
    broker = BrokerUrl.parse("sentinel://us%65r:p%3A%40@a/0?master_name=m&sentinel_username=s&sentinel_password=x%26y")

    assert (broker.username, broker.password) == ("user", "p:@")
    assert broker.sentinel_login == {"username": "s", "password": "x&y"}
    assert (BrokerUrl.parse("amqp://a").username, BrokerUrl.parse("amqp://a").password) == (None, None)
    assert not any(secret in f"{broker} {broker!r}" for secret in ("p:@", "p%3A%40", "x&y", "x%26y"))


@pytest.mark.parametrize(
    "url",
    [
        *("", "redis", "redis://", "redis://:sekret@", "http://:sekret@h/0", "redis://h:sekret/0", "redis://h:0/0"),
        *("redis://:sekret@a,b/0", "redis://h/0#sekret", "redis://:sek ret@h", "redis://:sek\nret@h/0"),
        *("sentinel://:sekret@a,b/0", "sentinel://:sekret@a/0?master_name=", "sentinel://:sekret@a/x?master_name=m"),
        *("sentinel://:sekret@a,/0?master_name=m", "sentinel://:sekret@a/0?master_name=m&ssl=1"),
        *("amqps://:sekret@a,b/", "amqp://u:sekret@a/?heartbeat=1", "amqp://u:sekret@[a/", "valkey://:sekret@h"),
    ],
)
def test_other_texts_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(ValueError, match="write redis://") as caught:
        validate_broker_url(url)

    assert str(caught.value) == BROKER_FORM
    assert caught.value.__cause__ is None
    assert "sekret" not in str(caught.value)
