"""Channels of groups over HTTP: set, shown once, replaced without a gap, and what is no target."""

from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest

from projections.repositories.group_channels import GroupChannelRepository
from projections.repositories.webhook_secrets import ROTATION_OVERLAP, WebhookSecretRepository, delete_expired
from tests.support.clients.app_client import AppClient, AppResponse

PATH = "/api/v1/channels"
URL = "https://team.example.com/ledger?key=1"


def put(app: AppClient, group: str, url: str = URL, role: str = "admin") -> AppResponse:
    return cast("AppResponse", app.client.put(PATH, json={"group": group, "url": url}, headers=app.key(role)))


def test_secret_is_shown_once_and_encrypted(app: AppClient) -> None:
    first = put(app, "once").json()
    again = put(app, "once", URL + "2").json()

    assert first["secret"].startswith("whsec_")
    assert (again["id"], again["url"], again["secret"]) == (first["id"], URL + "2", None)
    assert first["callbacks"].endswith(f"{PATH}/{first['id']}/callbacks")
    with app.services.storage.datastore.get_connection() as conn:
        rows: list[Any] = conn.execute("SELECT sealed FROM private_texts").fetchall()
    assert all(first["secret"].encode() not in bytes(row["sealed"]) for row in rows)
    listed = [one for one in app.client.get(PATH, headers=app.key("admin")).json()["channels"] if one["on"]]
    assert first["id"] in {one["id"] for one in listed}
    assert {one["secret"] for one in listed} == {None}


def test_secret_is_replaced_without_a_gap(app: AppClient) -> None:
    services = app.services
    channel = put(app, "rotates").json()
    rotated = app.client.post(f"{PATH}/{channel['id']}/rotate-secret", headers=app.key("admin")).json()
    now, secrets = services.now(), WebhookSecretRepository(services.storage)
    way = GroupChannelRepository(services.storage).find_config("rotates", now)

    assert way is not None
    assert way.secrets == (rotated["secret"], channel["secret"])
    assert secrets.list_valid_texts(way.channel_id, now + ROTATION_OVERLAP) == (rotated["secret"],)
    newest = secrets.rotate(way.channel_id, uuid4(), now + timedelta(hours=12))
    assert secrets.list_valid_texts(way.channel_id, now + ROTATION_OVERLAP) == (newest, rotated["secret"])
    texts = app.count("private_texts")
    assert delete_expired(services.storage, now + ROTATION_OVERLAP + timedelta(minutes=1)) == 1
    assert app.count("private_texts") == texts - 1


def test_switch_back_to_email_keeps_id_and_secret_of_the_channel(app: AppClient) -> None:
    """The channel is off, its id and secret are as they were, also when it is set again."""
    channel = put(app, "back").json()
    off = app.client.delete(f"{PATH}/{channel['id']}", headers=app.key("admin")).json()

    assert (off["on"], len(off["secrets"])) == (False, 1)
    assert "back" not in GroupChannelRepository(app.services.storage).list_kinds_by_group()
    on_again = put(app, "back").json()
    assert (on_again["id"], on_again["on"], on_again["secret"]) == (channel["id"], True, None)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://team.example.com/", "https://"),
        ("https://127.0.0.1/", "公共互联网"),
        ("https://169.254.169.254/latest", "LEDGER_WEBHOOK_ALLOW_PRIVATE"),
        ("https://0x7f.1/", "主机名"),
        ("https://me:hush@team.example.com/", "用户名和密码"),
        ("nonsense", "https://"),
    ],
)
def test_invalid_target_is_refused_with_its_remedy(app: AppClient, url: str, said: str) -> None:
    answer = put(app, "bad", url)

    assert (answer.status_code, answer.json()["code"]) == (422, "TARGET_REFUSED")
    assert said in answer.json()["detail"]
    assert "bad" not in GroupChannelRepository(app.services.storage).list_kinds_by_group()


def test_group_is_named_in_printable_characters(app: AppClient) -> None:
    for group in ("", " design", "a\x00b", "a\nb", "x" * 201):
        assert put(app, group).status_code == 422
    assert app.client.get(PATH, params={"after": "a\x00"}, headers=app.key("admin")).status_code == 422


def test_channels_are_for_admins(app: AppClient) -> None:
    """A channel sees every address of its group."""
    assert put(app, "x", role="support").status_code == 403
    assert app.client.get(PATH).status_code == 401
    for path in (f"{PATH}/{uuid4()}/rotate-secret",):
        assert app.client.post(path, headers=app.key("admin")).status_code == 404
    assert app.client.delete(f"{PATH}/{uuid4()}", headers=app.key("admin")).status_code == 404
