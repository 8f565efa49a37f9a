"""The fresh proof of a member of staff who has a second factor: the password alone is none."""

from datetime import timedelta

import pyotp
import pytest

from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.page_reader import read_page
from tests.support.clients.soft_authenticator import SoftAuthenticator, read_passkey_form
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff

EMAIL = "mei@staff.example.com"
FACTORS = "/support/account/factors"


@pytest.fixture(scope="module")
def shared_app(passkey_app: AppClient) -> AppClient:
    return passkey_app


class Owner:
    """An admin with an authenticator app and a passkey, whose proof is too old."""

    def __init__(self, app: AppClient) -> None:
        self.app, self.browser, self.key = app, StaffBrowser(app), SoftAuthenticator()
        add_staff(app, EMAIL, "admin", PASSWORD)
        self.browser.sign_in(EMAIL, PASSWORD)
        page = self.browser.get(f"{FACTORS}/app")
        self.secret = read_page(page.text).find("code").text.replace(" ", "")
        form = next(each for each in read_page(page.text).find_all("form") if each.find_all("input", id="code"))
        hidden = {each.attributes["name"]: each.attributes["value"] for each in form.find_all("input", type="hidden")}
        added = self.browser.post(f"{FACTORS}/app", {**hidden, "code": self.code(-1), "name": "Phone"})
        self.recovery_codes = read_page(added.text).texts("code")
        options, fields = read_passkey_form(self.browser.get(FACTORS))
        self.browser.post(f"{FACTORS}/passkey", {**fields, "credential": self.key.create(options), "name": "Key"})
        with app.services.storage.datastore.get_connection() as conn:
            conn.execute("UPDATE staff_sessions SET proved_at = proved_at - interval '301 s'")

    def code(self, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.app.services.now() + steps * timedelta(seconds=30))

    def invite(self, **proof: str) -> AppResponse:
        return self.browser.submit("/admin/staff", email="new@staff.example.com", role="viewer", **proof)

    def audit(self) -> list[tuple[str, str | None]]:
        with self.app.services.storage.datastore.get_connection() as conn:
            rows = conn.execute("SELECT act, proof FROM audit ORDER BY audit_id DESC LIMIT 2").fetchall()
        return [(row["act"], row["proof"]) for row in rows]


@pytest.fixture
def owner(app: AppClient) -> Owner:
    return Owner(app)


def test_page_asks_for_the_factor_and_not_for_the_password(owner: Owner) -> None:
    """Who has stolen the password and the session has no proof."""
    asked, by_password = owner.invite(), owner.invite(own_password=PASSWORD)

    assert (asked.status_code, by_password.status_code) == (403, 403)
    assert 'name="own_password"' not in asked.text
    assert {"Six-digit code", "Confirm with a passkey"} <= {*read_page(asked.text).texts("label", "button")}
    assert "The code is wrong" in by_password.text
    assert owner.audit()[0] == ("refused_factor", None)


def test_code_of_the_app_is_a_proof_once(owner: Owner) -> None:
    code = owner.code()

    done = owner.invite(own_code=code)
    with owner.app.services.storage.datastore.get_connection() as conn:
        conn.execute("UPDATE staff_sessions SET proved_at = proved_at - interval '301 s'")
    again = owner.invite(own_code=code)

    assert done.status_code == 303
    assert (again.status_code, "used already" in again.text) == (403, True)


def test_recovery_code_is_a_proof_once(owner: Owner) -> None:
    done = owner.invite(own_code=owner.recovery_codes[0])

    assert (done.status_code, owner.audit()) == (303, [("added_staff", "recovery_code"), ("proved_identity", None)])


def test_passkey_is_a_proof_and_goes_with_the_form(owner: Owner) -> None:
    asked = owner.invite()
    options, fields = read_passkey_form(asked)
    answer = owner.key.get(options)
    foreign = owner.invite(own_passkey=answer, own_passkey_state="made up")
    done = owner.invite(own_passkey=answer, own_passkey_state=fields["own_passkey_state"])
    replayed = owner.invite(own_passkey=answer, own_passkey_state=fields["own_passkey_state"])

    assert (foreign.status_code, "took too long" in foreign.text) == (403, True)
    assert done.status_code == 303
    assert (replayed.status_code, "took too long" in replayed.text) == (403, True)


def test_wrong_codes_are_limited(owner: Owner) -> None:
    statuses = [owner.invite(own_code=f"{nth:06}").status_code for nth in range(11)]

    assert statuses == [403] * 10 + [429]
    assert owner.invite(own_code=owner.code()).status_code == 429


def test_factor_is_removed_only_with_a_proof(owner: Owner) -> None:
    """A stolen session cannot switch off what protects the account."""
    with owner.app.services.storage.datastore.get_connection() as conn:
        (row,) = conn.execute("SELECT factor_id FROM staff_factors WHERE kind = 'totp'").fetchall()

    asked = owner.browser.submit(f"{FACTORS}/{row['factor_id']}/remove")

    assert (asked.status_code, "Confirm that it is you" in asked.text) == (403, True)
    assert owner.app.count("staff_factors") == 2
