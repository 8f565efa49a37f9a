"""Keys of integrators: shown once, opening what their role opens; their end, last use, networks and replacement."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from projections.repositories.api_keys import ApiKeyRepository, ApiKeyRow
from tests.support.clients.admin_client import secret_of
from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser

ROLE = {"name": "shop", "role": "viewer"}


def create(admin: StaffBrowser, **form: str) -> AppResponse:
    return admin.submit("/admin/keys", **{**ROLE, "nonce": uuid4().hex, **form})


def make(admin: StaffBrowser, **form: str) -> UUID:
    """Create a key; return its id."""
    nonce = uuid4().hex
    answer = create(admin, nonce=nonce, **{"ends": "never", **form})
    assert answer.status_code == 200, answer.text
    return UUID(nonce)


def replace(admin: StaffBrowser, key_id: UUID, nonce: str, **form: str) -> AppResponse:
    path = f"/admin/keys/{key_id}/replace"
    return admin.submit(path, **{"ends": "90", "overlap_hours": "24", "nonce": nonce, **form})


def find(app: AppClient, key_id: UUID) -> ApiKeyRow:
    key = ApiKeyRepository(app.services.storage).find(key_id)
    assert key is not None
    return key


def status(app: AppClient, secret: str) -> int:
    return int(app.client.get("/api/v1/codes", headers={"authorization": f"Bearer {secret}"}).status_code)


def age(app: AppClient, key_id: UUID, days: int) -> None:
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute(
            "UPDATE api_keys SET created_at = created_at - %s WHERE key_id = %s", (timedelta(days=days), key_id)
        )


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "Choose when the key ends"),
        ({"ends": "30", "name": " "}, "Fill in this field."),
        ({"ends": "never", "scope": "codes:read"}, "Scopes are ticked"),
        ({"ends": "31"}, "Choose when the key ends"),
        ({"ends": "on"}, "Fill in this field."),
        ({"ends": "on", "key_ends_at": "2020-01-01T00:00"}, "This time is in the past."),
        ({"ends": "on", "key_ends_at": "soon"}, "Enter a date and time"),
        ({"ends": "30", "key_ends_at": "2999-01-01T00:00"}, "another end is chosen"),
        ({"ends": "never", "networks": "10.0.0.0/8 shop"}, "“shop” is not a network"),
        ({"ends": "never", "networks": "10.0.0.1/8"}, "write 10.0.0.0/8"),
        ({"ends": "never", "networks": " ".join(f"10.0.{n}.0/24" for n in range(51))}, "at most 50 networks"),
    ],
)
def test_form_with_an_error_creates_no_key(
    app: AppClient, admin: StaffBrowser, form: dict[str, str], sentence: str
) -> None:
    """Nothing is chosen in advance, so a key without an end was asked for.

    A key without a name could not be told apart later, and one with scopes next to a role would have the role's rights.
    """
    before = app.count("api_keys")
    answer = create(admin, **form)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert app.count("api_keys") == before


@pytest.mark.parametrize(
    ("form", "days"),
    [({"ends": "365"}, 365), ({"ends": "never"}, None), ({"key_ends_at": "2999-01-01T00:00"}, 0), ({"ends": "30"}, 30)],
)
def test_key_ends_as_chosen(app: AppClient, admin: StaffBrowser, form: dict[str, str], days: int | None) -> None:
    key = find(app, make(admin, **{"ends": "", **form}))

    if days:
        assert key.expires_at is not None
        assert abs(key.expires_at - key.created_at - timedelta(days=days)) < timedelta(seconds=5)
    else:
        assert key.expires_at == (None if days is None else datetime.fromisoformat("2999-01-01T00:00:00+00:00"))


def test_pages_say_what_a_key_opens_when_it_ends_and_when_it_was_used(app: AppClient, admin: StaffBrowser) -> None:
    key_id = make(admin, role="scoped", scope="redeem:batch", ends="30", networks="203.0.113.0/24")
    listed, shown = admin.get("/admin/keys").text, admin.get(f"/admin/keys/{key_id}").text
    age(app, key_id, 89)
    recent = admin.get(f"/admin/keys/{key_id}").text
    age(app, key_id, 1)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE api_keys SET expires_at = now() + interval '13 days' WHERE key_id = %s", (key_id,))
    marked = admin.get("/admin/keys").text + admin.get(f"/admin/keys/{key_id}").text

    assert "Never used" in listed
    assert "Redeem many codes with one request." in shown
    assert "203.0.113.0/24" in shown
    assert "ends soon" not in listed + shown
    assert "not used for 90 days" not in listed + shown + recent
    assert marked.count("not used for 90 days") == 2
    assert marked.count("ends soon") == 2


def test_replaced_key_works_until_the_overlap_ends(app: AppClient, admin: StaffBrowser) -> None:
    first_nonce, nonce = uuid4().hex, uuid4().hex
    old = secret_of(create(admin, nonce=first_nonce, ends="never", networks="0.0.0.0/0 ::/0").text)
    key_id = UUID(first_nonce)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE api_keys SET networks = NULL WHERE key_id = %s", (key_id,))
    replaced = replace(admin, key_id, nonce)
    new, page = secret_of(replaced.text), admin.get(f"/admin/keys/{key_id}").text
    former, newer = find(app, key_id), find(app, UUID(nonce))
    both = status(app, old), status(app, new)
    audit = admin.get("/support/audit").text

    assert both == (200, 200)
    assert (newer.name, newer.role, newer.replaces_id, former.replaced_by) == ("shop", "viewer", key_id, UUID(nonce))
    assert former.expires_at is not None
    assert timedelta(hours=23) < former.expires_at - app.services.now() <= timedelta(hours=24)
    assert f'href="/admin/keys/{UUID(nonce)}"' in page
    assert page.count("Never used") == 3  # of the key, and of both in the table
    assert f"by: shop ({str(UUID(nonce))[:8]})" in audit
    assert f"replaces: shop ({str(key_id)[:8]})" in audit
    admin.submit(f"/admin/keys/{key_id}/revoke", f"/admin/keys/{key_id}", reason="all systems have the new one")
    assert (status(app, old), status(app, new)) == (401, 200)


def test_replacement_keeps_scopes_networks_and_an_earlier_end(app: AppClient, admin: StaffBrowser) -> None:
    key_id, nonce = make(admin, role="scoped", scope="redeem", ends="30", networks="203.0.113.0/24"), uuid4().hex
    before = find(app, key_id)
    assert replace(admin, key_id, nonce, overlap_hours="720", ends="never").status_code == 200
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE api_keys SET expires_at = now() + interval '1 hour' WHERE key_id = %s", (UUID(nonce),))
    shortened, third = find(app, UUID(nonce)), uuid4().hex
    assert replace(admin, UUID(nonce), third, overlap_hours="720", ends="never").status_code == 200

    assert (find(app, UUID(nonce)).scopes, find(app, UUID(third)).networks) == (["redeem"], ["203.0.113.0/24"])
    assert find(app, UUID(nonce)).expires_at == shortened.expires_at
    assert before.expires_at is not None


def test_replacement_that_is_sent_twice_creates_one_key(app: AppClient, admin: StaffBrowser) -> None:
    key_id, nonce, before = make(admin), uuid4().hex, app.count("api_keys")
    first, again, other = (replace(admin, key_id, each) for each in (nonce, nonce, uuid4().hex))

    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert secret_of(first.text) not in again.text
    assert "was already sent" in again.text
    assert "This key was already replaced." in other.text
    assert f'href="/admin/keys/{UUID(nonce)}"' in other.text
    assert app.count("api_keys") == before + 1


@pytest.mark.parametrize(
    ("column", "sentence"), [("revoked_at", "This key was revoked"), ("expires_at", "This key has expired")]
)
def test_key_that_has_ended_is_not_replaced(app: AppClient, admin: StaffBrowser, column: str, sentence: str) -> None:
    """Its replacement would have no overlap."""
    key_id = make(admin)
    with app.services.storage.datastore.get_connection() as conn:
        end = f"UPDATE api_keys SET {column} = now() - interval '1 second' WHERE key_id = %s"  # noqa: S608 - one of two names
        conn.execute(end.encode(), (key_id,))
    before = app.count("api_keys")
    asked, answer = admin.get(f"/admin/keys/{key_id}/replace"), replace(admin, key_id, uuid4().hex)

    assert (asked.status_code, answer.status_code) == (200, 409)
    assert sentence in asked.text
    assert sentence in answer.text
    assert app.count("api_keys") == before


@pytest.mark.parametrize(
    "form", [{"ends": ""}, {"overlap_hours": ""}, {"overlap_hours": "721"}, {"overlap_hours": "0"}]
)
def test_replacement_needs_an_end_and_an_overlap(app: AppClient, admin: StaffBrowser, form: dict[str, str]) -> None:
    key_id = make(admin)
    before = app.count("api_keys")

    assert replace(admin, key_id, uuid4().hex, **form).status_code == 422
    assert app.count("api_keys") == before
    assert find(app, key_id).expires_at is None


def test_revocation_and_new_networks_are_confirmed_and_a_second_revocation_is_refused(
    admin: StaffBrowser,
) -> None:
    key_id = make(admin, role="scoped", scope="redeem")
    path = f"/admin/keys/{key_id}"
    saved = admin.submit(f"{path}/networks", path, networks="198.51.100.0/24", reason="moved")
    question = read_page(admin.get(f"{path}/revoke").text)
    revoked = admin.submit(f"{path}/revoke", path, reason="leaked")
    asked, again = admin.get(f"{path}/revoke"), admin.submit(f"{path}/revoke", path, reason="leaked again")
    notices = [admin.get(answer.headers["location"]).text for answer in (saved, revoked)]

    assert [read_page(page).find("p", class_="done").text for page in notices] == [
        "The allowed networks were saved.",
        "The key was revoked. Requests with it are refused.",
    ]
    assert (asked.status_code, again.status_code) == (200, 409)
    for page in (asked.text, again.text):
        assert read_page(page).find(id="notice").text == "This key was already revoked. Nothing has changed."
        assert "<textarea" not in page
    assert read_page(notices[1]).find("span", class_="mark mark-revoked").text == "revoked"
    assert question.find("dl").text.startswith("Rights redeem")
    assert question.find_all("a", href=path)[0].text == "shop"
    assert "leaked again" not in admin.get("/support/audit").text


def test_networks_are_changed_with_a_reason(app: AppClient, admin: StaffBrowser) -> None:
    key_id = make(admin, networks="203.0.113.0/24")
    path = f"/admin/keys/{key_id}/networks"
    filled = admin.get(path).text
    malformed = admin.submit(path, networks="x", reason="moved")
    without_reason = admin.submit(path, networks="198.51.100.0/24", reason=" ")
    unchanged = find(app, key_id).networks
    changed = admin.submit(path, networks="198.51.100.0/24", reason="moved to another office")

    assert "203.0.113.0/24</textarea>" in filled
    assert (malformed.status_code, without_reason.status_code, changed.status_code) == (422, 422, 303)
    assert "“x” is not a network" in malformed.text
    assert "198.51.100.0/24</textarea>" in without_reason.text
    assert unchanged == ["203.0.113.0/24"]
    assert find(app, key_id).networks == ["198.51.100.0/24"]
    assert (
        "moved to another office; allowed networks: 203.0.113.0/24 → 198.51.100.0/24"
        in admin.get("/support/audit").text
    )
    assert admin.get(f"/admin/keys/{uuid4()}").status_code == 404


def test_key_has_the_rights_of_its_role_until_it_is_revoked(app: AppClient, admin: StaffBrowser) -> None:
    form = {"name": "shop & co", "ends": "never", "nonce": uuid4().hex}
    key_page, again = create(admin, **form), create(admin, **form)
    secret = secret_of(key_page.text)
    listed = admin.get("/admin/keys").text

    before = status(app, secret)
    issuing = app.client.post("/api/v1/codes", json={}, headers={"authorization": f"Bearer {secret}"}).status_code
    admin.submit(f"/admin/keys/{form['nonce']}/revoke", "/admin/keys", reason="leaked")
    after = status(app, secret)

    assert (before, issuing, after) == (200, 403, 401)
    assert "was already sent" in again.text
    assert secret not in again.text + listed
    assert "shop &amp; co" in listed
    assert "revoked" in admin.get("/admin/keys").text
    assert sum(word in admin.get("/support/audit").text for word in ("created an API key", "revoked an API key")) == 2


def test_audit_names_the_key_that_did_it(app: AppClient, admin: StaffBrowser) -> None:
    secret = secret_of(create(admin, name="<shop> & co", role="admin", ends="never").text)
    body = {"email": "nobody@example.com", "reason": "asked by letter"}
    headers = {"authorization": f"Bearer {secret}"}

    assert app.client.post("/api/v1/recipients/export", json=body, headers=headers).status_code == 200
    assert "API key &lt;shop&gt; &amp; co" in admin.get("/support/audit").text


def test_key_is_over_after_its_days(app: AppClient, admin: StaffBrowser) -> None:
    nonce = uuid4().hex
    secret = secret_of(create(admin, name="short", role="admin", ends="30", nonce=nonce).text)
    before = status(app, secret)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE key_id = %s", (UUID(nonce),))

    assert (before, status(app, secret)) == (200, 401)
    assert "expired" in admin.get("/admin/keys").text


def test_api_keys_of_one_name_have_different_labels(admin: StaffBrowser) -> None:
    ids = [str(make(admin, name="twin")) for _ in range(2)]

    for path in ("/admin/keys", "/support/audit"):
        assert {key_id[:8] for key_id in ids} <= {*read_page(admin.get(path).text).find("main").texts("code")}
    assert ids[0] in read_page(admin.get(f"/admin/keys/{ids[0]}").text).find("main").text
