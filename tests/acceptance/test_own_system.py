"""A group whose invitations go to a system of its own, on the real servers."""

from pathlib import Path

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import Stack
from tests.support.servers.webhook_receiver import WebhookReceiver


def test_corrected_recipient_is_invited_after_the_first_access_ended(servers_folder: Path) -> None:
    """The worker that gets the correction has the access removed and sends: beat, which starts sweeps, is frozen."""
    with WebhookReceiver() as system:
        env = {"LEDGER_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8"}
        stack = Stack(servers_folder / "own-system", find_free_port(), env)
        try:
            stack.wait_ready()
            channel = {"group": "TEAM", "url": system.url}
            assert stack.call("PUT", "/api/v1/channels", channel, stack.admin)[0] == 200
            terms = {"max_uses": 1, "group": "TEAM"}
            code = stack.call("POST", "/api/v1/codes", terms, stack.admin)[1][0]["code"]
            first = stack.redeem(code, "first@example.com")[1]
            stack.wait(lambda: stack.state(first["reservation_id"]) == "sent")
            with stack.beat_frozen():
                status, second = stack.call(
                    "POST",
                    f"/api/v1/public/redemptions/{first['reservation_id']}/correct-recipient",
                    {"email": "second@example.com", "code": code, "correction_token": first["correction_token"]},
                )
                stack.wait(lambda: stack.state(second["reservation_id"]) == "sent")
        finally:
            stack.stop()

    notifications = [request.json() for request in system.received]
    assert status == 202
    assert [
        (each["type"], each["data"]["email"])
        for each in notifications
        if each["type"] in {"invite.requested", "access.ended"}
    ] == [
        ("invite.requested", "first@example.com"),
        ("access.ended", "first@example.com"),
        ("invite.requested", "second@example.com"),
    ]
    assert next(each for each in notifications if each["type"] == "access.ended")["data"]["cause"] == "corrected"
