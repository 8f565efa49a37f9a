from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from projections.config import url_validation
from projections.config.approvals import ApprovalPolicy, parse_approval_kinds
from projections.config.broker_url import BROKER_FORM, BrokerUrl
from projections.config.settings import LedgerSettings
from projections.config.staff_roles import highest_role, parse_group_roles, parse_required_roles
from projections.config.throwaway_list import VENDORED, load_throwaway_domains
from projections.config.url_validation import validate_broker_url, validate_database_url, validate_traces_url
from tests.support.ledger.settings import settings_for


def test_url_of_a_collector_is_refused_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_validation, "find_spec", {}.get)

    with pytest.raises(ValueError, match="install the extra `tracing`"):
        validate_traces_url("http://collector:4318/v1/traces")


def test_url_of_a_collector_is_used_as_it_is() -> None:
    assert validate_traces_url("https://collector.example.com/v1/traces") == "https://collector.example.com/v1/traces"


@pytest.mark.parametrize("form", ["-c {}=0", "-c{}=0", "--{}=0", "-c search_path=shop -c {}=0"])
@pytest.mark.parametrize("name", ["statement_timeout", "TimeZone", "enable-seqscan"])
def test_session_setting_of_the_ledger_in_a_database_url_is_refused(form: str, name: str) -> None:
    """It would have no effect. The message names it, and no part of the URL."""
    with pytest.raises(
        ValueError, match=rf"^remove {name.lower().replace('-', '_')} from its options: the ledger sets"
    ):
        validate_database_url(f"postgresql://u:sekret@h/d?options={quote(form.format(name))}")


def test_application_name_in_a_database_url_is_refused() -> None:
    """The ledger would name its sessions otherwise."""
    with pytest.raises(ValueError, match=r"^remove application_name: the ledger finds its own sessions"):
        validate_database_url("postgresql://u:sekret@h/d?application_name=shop")


@pytest.mark.parametrize(
    "query",
    [
        "options=-csearch_path%3Dshop",
        "options=endpoint%3Dep-1",
        "options=-c%20a.statement_timeout%3D1",
        "connect_timeout=9",
    ],
)
def test_other_parameters_of_a_database_url_are_kept(query: str) -> None:
    url = f"postgresql://u:sekret@h/d?{query}"

    assert validate_database_url(url) == url


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


@pytest.mark.parametrize(
    ("parse", "text", "parsed"),
    [
        (parse_approval_kinds, "", frozenset()),
        (parse_approval_kinds, " refund, end_campaign,,", {"refund", "end_campaign"}),
        (parse_group_roles, "", {}),
        (parse_group_roles, "ledger-admins=admin", {"ledger-admins": "admin"}),
        (parse_group_roles, " a = admin , b=viewer,", {"a": "admin", "b": "viewer"}),
        (parse_required_roles, "off", set()),
        (parse_required_roles, "", set()),
        (parse_required_roles, "admin", {"admin"}),
        (parse_required_roles, " admin , support", {"admin", "support"}),
    ],
)
def test_values_of_lists_are_parsed(parse: Callable[[str], object], text: str, parsed: object) -> None:
    assert parse(text) == parsed


MALFORMED = {
    (parse_approval_kinds, "refunds is not one of refund, revoke_batch, end_campaign"): ["refunds"],
    (parse_group_roles, "ledger-admins=admin,helpdesk=support"): [
        *("admins", "admins=owner", "=admin", "a=admin;b=viewer", "a=admin b=viewer,c", "cn=admin,ou=x=admin"),
    ],
    (parse_required_roles, "write off, or roles as admin,support"): [
        *("on", "admin;support", "off,admin", "admin,", "owner"),
    ],
    (validate_traces_url, "OTLP over HTTP, such as http"): [
        *("collector:4318", "ftp://collector/v1/traces", "http://", "http://a b/", "http://c/?x=1"),
    ],
}
"""By parser and message. A mistyped kind or role must not leave an action or an account unguarded."""


@pytest.mark.parametrize(
    ("parse", "message", "text"), [(*about, text) for about, texts in MALFORMED.items() for text in texts]
)
def test_malformed_value_is_refused_with_its_form(parse: Callable[[str], object], message: str, text: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(text)


@pytest.mark.parametrize(("uses", "is_covered"), [(10, False), (11, True)])
def test_refund_needs_an_approval_above_the_threshold(uses: int, is_covered: bool) -> None:
    policy = ApprovalPolicy(frozenset({"refund", "end_campaign"}), 10, timedelta(hours=1))

    assert policy.covers("refund", uses) is is_covered
    assert policy.covers("end_campaign", 1)
    assert not policy.covers("erase_person", 1)


def test_highest_role_counts() -> None:
    assert highest_role(["viewer", "admin", "support"]) == "admin"
    assert highest_role([]) is None


KEYS = settings_for("postgresql://localhost/none").model_dump(exclude_unset=True)


def test_list_of_this_version_has_well_known_services_and_no_mail_provider() -> None:
    names = [line for line in VENDORED.read_text().splitlines() if line and not line.startswith("#")]
    listed = load_throwaway_domains(None)

    assert names == sorted(set(names))
    assert listed == {*names}
    assert {"mailinator.com", "guerrillamail.com", "yopmail.com", "10minutemail.com"} <= listed
    assert {"gmail.com", "outlook.com", "qq.com", "163.com", "proton.me", "example.com"} & listed == set()
    assert "As of 20" in VENDORED.read_text()


def test_file_of_the_operator_changes_the_list(tmp_path: Path) -> None:
    file = tmp_path / "domains.txt"
    file.write_text("-yopmail.com\nours.example\n")
    settings = LedgerSettings.model_validate({**KEYS, "throwaway_file": file})

    assert settings.policy.throwaway_domains == load_throwaway_domains(None) - {"yopmail.com"} | {"ours.example"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"a b\n", "line 1 is not a domain name"), (b"\xff\xff", "cannot be read")],
)
def test_file_that_is_no_list_stops_the_start(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "domains.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ValidationError, match=message):
        LedgerSettings.model_validate({**KEYS, "throwaway_file": file})
