"""Keys of integrators: shown once, opening what their role opens, and nothing once they are revoked or over."""

from uuid import uuid4

from tests.support.clients.admin_client import secret_of
from tests.support.clients.app_client import AppClient
from tests.support.clients.page_reader import read_page
from tests.support.clients.staff_browser import StaffBrowser


def status(app: AppClient, secret: str, path: str = "/api/v1/codes") -> int:
    return int(app.client.get(path, headers={"authorization": f"Bearer {secret}"}).status_code)


def test_scopes_next_to_another_role_are_an_error(app: AppClient, admin: StaffBrowser) -> None:
    """The key would have the rights of the role, and not those that were ticked."""
    before = app.count("api_keys")
    answer = admin.submit(
        "/admin/keys", name="shop", role="viewer", scope="codes:read", ends="never", nonce=uuid4().hex
    )

    assert answer.status_code == 422
    assert "Scopes are ticked" in answer.text
    assert app.count("api_keys") == before


def test_key_has_the_rights_of_its_role_until_it_is_revoked(app: AppClient, admin: StaffBrowser) -> None:
    form = {"name": "shop & co", "role": "viewer", "ends": "never", "nonce": uuid4().hex}
    key_page, again = admin.submit("/admin/keys", **form), admin.submit("/admin/keys", **form)
    secret, key_id = secret_of(key_page.text), str(form["nonce"])
    listed = admin.get("/admin/keys").text

    before = status(app, secret)
    issuing = app.client.post("/api/v1/codes", json={}, headers={"authorization": f"Bearer {secret}"}).status_code
    admin.submit(f"/admin/keys/{key_id}/revoke", "/admin/keys", reason="leaked")
    after = status(app, secret)

    assert (before, issuing, after) == (200, 403, 401)
    assert "was already sent" in again.text
    assert secret not in again.text + listed
    assert "shop &amp; co" in listed
    assert "revoked" in admin.get("/admin/keys").text
    assert sum(word in admin.get("/support/audit").text for word in ("created an API key", "revoked an API key")) == 2


def test_audit_names_the_key_that_did_it(app: AppClient, admin: StaffBrowser) -> None:
    form = {"name": "<shop> & co", "role": "admin", "ends": "never", "nonce": uuid4().hex}
    secret = secret_of(admin.submit("/admin/keys", **form).text)
    body = {"email": "nobody@example.com", "reason": "asked by letter"}
    headers = {"authorization": f"Bearer {secret}"}

    assert app.client.post("/api/v1/recipients/export", json=body, headers=headers).status_code == 200
    assert "API key &lt;shop&gt; &amp; co" in admin.get("/support/audit").text


def test_key_is_over_after_its_days(app: AppClient, admin: StaffBrowser) -> None:
    form = {"name": "short", "role": "admin", "ends": "30", "nonce": uuid4().hex}
    secret = secret_of(admin.submit("/admin/keys", **form).text)
    before = status(app, secret)
    with app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE api_keys SET expires_at = now() - interval '1 second'")

    assert (before, status(app, secret)) == (200, 401)
    assert "expired" in admin.get("/admin/keys").text


def test_key_needs_a_name(app: AppClient, admin: StaffBrowser) -> None:
    """Otherwise an admin could not say later which keys may be revoked."""
    answer = admin.submit("/admin/keys", name=" ", role="viewer", ends="30", nonce=uuid4().hex)

    assert answer.status_code == 422
    assert app.count("api_keys") == 0


def test_api_keys_of_one_name_have_different_labels(admin: StaffBrowser) -> None:
    for _ in range(2):
        admin.submit("/admin/keys", name="twin", role="viewer", ends="never", nonce=uuid4().hex)
    pages = [read_page(admin.get(path).text) for path in ("/admin/keys", "/support/audit")]
    ids = [link.rpartition("/")[2] for link in pages[0].link_targets if link.startswith("/admin/keys/")]

    for page in pages:
        assert {key_id[:8] for key_id in ids} == set(page.find("main").texts("code")) & {key_id[:8] for key_id in ids}
    assert ids[0] in read_page(admin.get(f"/admin/keys/{ids[0]}").text).find("main").text
