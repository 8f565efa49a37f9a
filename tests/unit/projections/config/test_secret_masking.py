import pytest

from projections.config.secret_masking import mask_setting
from projections.config.settings import LedgerSettings


@pytest.mark.parametrize(
    ("field", "value", "masked"),
    [
        ("secret_key", "sekret", "***"),
        ("peppers", "2:c2VrcmV0,1:c2VrcmV0", "***"),
        ("read_database_url", "", ""),
        ("database_url", "host=db user=ledger password=sekret", "***"),
        ("database_url", "postgresql://ledger:sekret@db:5432/ledger", "postgresql://ledger:***@db:5432/ledger"),
        ("database_url", "postgresql://ledger@db/ledger", "postgresql://ledger@db/ledger"),
        ("database_url", "postgresql:///x?host=/run&password=sekret&a=b", "postgresql:///x?host=/run&password=***&a=b"),
        ("smtp_url", "smtps://me@example.com:s/e#k?r@et@mail.example", "smtps://me@example.com:***@mail.example"),
        ("redis_url", "rediss://:sekret@redis:6380/0", "rediss://:***@redis:6380/0"),
        ("redis_url", "amqp://u:sekret@n1:5672,n2:5672/v", "amqp://u:***@n1:5672,n2:5672/v"),
        ("smtp_url", "null://", "null://"),
        ("smtp_url", "sekret", "***"),
        ("relay_to", "https://bi.example.com:8443/hooks/sekret?sig=sekret", "https://bi.example.com:8443/***"),
        ("relay_to", "https://bi.example.com?sig=sekret", "https://bi.example.com"),
        ("relay_to", "https://me:sekret@bi.example.com/a", "https://bi.example.com/***"),
        ("relay_to", "kafka://me:sekret@b1:9093,b2:9093/orders", "kafka://b1:9093,b2:9093/***"),
        ("relay_to", "Kafka://sekret@b1/orders", "Kafka://b1/***"),
        ("relay_to", "kafka://me:se/kret@b1/orders", "***"),
        ("relay_to", "kafka://me:se@k/ret@b1/orders", "***"),
        ("relay_to", "kafka:me:sekret@b1/orders", "***"),
        ("relay_to", "kafka://b1/orders", "kafka://b1/***"),
        ("traces_url", "https://u:sekret@collector.example/v1", "https://u:***@collector.example/v1"),
        ("public_url", "https://redeem.example:8443", "https://redeem.example:8443"),
        ("mail_from", "Shop: invites <invites@example.com>", "Shop: invites <invites@example.com>"),
        ("lease_s", "75", "75"),
    ],
)
def test_values_are_shown_without_their_secrets(field: str, value: str, masked: str) -> None:
    assert mask_setting(LedgerSettings.model_fields[field], value) == masked


def test_settings_with_secret_names_are_masked() -> None:
    """A new secret is a `SecretStr`. The path of a file with one is none."""
    words = ("secret", "pepper", "key")
    named = [
        name
        for name in LedgerSettings.model_fields
        if any(word in name for word in words) and not name.endswith("_file")
    ]

    assert len(named) > 2
    assert {mask_setting(LedgerSettings.model_fields[name], "sekret") for name in named} == {"***"}
