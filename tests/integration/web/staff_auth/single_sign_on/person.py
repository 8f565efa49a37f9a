"""People who have an account at the identity provider, and its clock."""

from collections.abc import Callable

from tests.support.clients.app_client import AppClient, AppResponse
from tests.support.clients.staff_browser import PASSWORD, StaffBrowser, add_staff, read_audit_log
from tests.support.servers.identity_provider import ScriptedProvider

EMAIL = "mei@staff.example.com"
START = "/support/sign-in/oidc?next=/support/work"
MEI = {"sub": "mei-1", "email": EMAIL, "groups": ["ledger-support", "other"]}


class Clock:
    """Seconds of the provider's clock: those of the ledger, and what a test puts it ahead."""

    ahead = 0.0
    read: Callable[[], float]

    def __call__(self) -> float:
        return self.read() + self.ahead


class Person:
    """A browser of a person who has an account at the provider."""

    def __init__(self, app: AppClient, provider: ScriptedProvider, **claims: object) -> None:
        self.browser, self.provider, self.claims = StaffBrowser(app), provider, claims

    def leave(self) -> str:
        """Go to the provider; the URL there."""
        return self.browser.get(START).headers["location"]

    def enter(self, **claims: object) -> AppResponse:
        return self.browser.get(self.provider.sign_in(self.leave(), **{**self.claims, **claims}))

    def connect(self) -> AppResponse:
        begun = self.browser.submit("/support/sign-in/oidc/connect", "/support/account")
        return self.browser.get(self.provider.sign_in(begun.headers["location"], **self.claims))


def read_audit_log_of(app: AppClient) -> str:
    add_staff(app, "admin@staff.example.com", "admin", PASSWORD)
    admin = StaffBrowser(app)
    admin.sign_in("admin@staff.example.com", PASSWORD)
    return read_audit_log(admin)
