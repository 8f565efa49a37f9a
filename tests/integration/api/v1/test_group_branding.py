"""Logo and color of a group's emails over HTTP: what stays, what is removed, and what is refused."""

import base64
from typing import Any

import pytest

from tests.support.clients.app_client import AppClient
from tests.support.images import make_gif, make_png

PATH = "/api/v1/groups/branding"
PNG = make_png(240, 64)


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_branding_is_changed_by_its_named_fields(app: AppClient) -> None:
    admin = app.key("admin")
    answers = [
        app.client.patch(PATH, json={"group": "blue", **fields}, headers=admin).json()
        for fields in (
            {"logo": in_base64(PNG), "accent": "#1F5FBF"},
            {"accent": "#16324f"},
            {"logo": None},
            {"logo": in_base64(make_gif(40, 40)), "accent": None},
            {},
        )
    ]
    read = app.client.get(PATH, params={"group": "blue"}, headers=admin).json()
    unknown = app.client.get(PATH, params={"group": "green"}, headers=admin).json()
    png = {"media_type": "image/png", "width": 240, "height": 64, "bytes": len(PNG), "data": in_base64(PNG)}

    assert answers[0] == {"group": "blue", "logo": png, "accent": "#1f5fbf"}
    assert answers[1] == {"group": "blue", "logo": png, "accent": "#16324f"}
    assert answers[2] == {"group": "blue", "logo": None, "accent": "#16324f"}
    assert (answers[3]["logo"]["media_type"], answers[3]["accent"]) == ("image/gif", None)
    assert answers[4] == answers[3] == read
    assert unknown == {"group": "green", "logo": None, "accent": None}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"logo": in_base64(b"<svg/>")}, ("body.logo", "is not a complete PNG, JPEG or GIF image")),
        ({"logo": in_base64(make_png(601, 9))}, ("body.logo", "has 601 × 9 pixels, more than 600 × 200")),
        ({"logo": in_base64(b"x" * 65_537)}, ("body.logo", "has 65,537 bytes, more than 65,536")),
        ({"logo": "###"}, ("body.logo", "is not base64")),
        ({"accent": "red"}, ("body.accent", "is not a color of # and six hexadecimal digits, such as #1f5fbf")),
        (
            {"accent": "#808080"},
            (
                "body.accent",
                "has a contrast of 4.11 with white or dark text, less than 4.5: choose a darker or lighter color",
            ),
        ),
    ],
)
def test_branding_that_breaks_a_rule_is_refused(
    own_app: AppClient, fields: dict[str, Any], error: tuple[str, str]
) -> None:
    answer = own_app.client.patch(PATH, json={"group": "blue", **fields}, headers=own_app.key("admin"))

    assert answer.status_code == 422
    assert [tuple(each.values()) for each in answer.json()["errors"]] == [error]
    assert own_app.count("invite_groups") == 0


def test_branding_takes_a_logo_of_64_kb_and_no_much_larger_body(app: AppClient) -> None:
    largest = make_png(1, 1, b"x" * (65_537 - len(make_png(1, 1, b"x"))))
    admin = app.key("admin")
    stored = app.client.patch(PATH, json={"group": "blue", "logo": in_base64(largest)}, headers=admin)
    larger = app.client.patch(PATH, json={"group": "blue", "logo": "A" * 131_072}, headers=admin)

    assert (stored.status_code, stored.json()["logo"]["bytes"]) == (200, 65_536)
    assert (larger.status_code, larger.json()["code"]) == (413, "BODY_TOO_LARGE")
