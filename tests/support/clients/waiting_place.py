"""A place on the waiting list of a full campaign."""

from typing import Any, Protocol

CAMPAIGNS = "/api/v1/campaigns"


class Asks(Protocol):
    def ask(self, method: str, path: str, **request: Any) -> Any:  # noqa: ANN401 - what the client returns
        ...


def find_place(app: Asks) -> str:
    """Return the path of the place on the waiting list of a new campaign, below that of campaigns."""
    ask = app.ask
    campaign = str(ask("POST", CAMPAIGNS, json={"name": "Full", "max_uses": 1, "waiting_hours": 24}).json()["id"])
    order = {"campaign": campaign, "max_uses": 9, "open": True}
    code = ask("POST", "/api/v1/codes", json=order).json()[0]["code"]
    for email, path in (("first@example.com", "redeem"), ("second@example.com", "waiting-list")):
        ask("POST", f"/api/v1/public/{path}", json={"email": email, "code": code})
    places = ask("GET", f"{CAMPAIGNS}/{campaign}/waiting-list").json()["places"]
    return f"{campaign}/waiting-list/{places[0]['place_id']}"
