"""A group's own system, as small as it can be: it takes invitations from the ledger and reports back what follows.

Needs nothing of the ledger, only `pip install standardwebhooks`:

    python invite_system.py whsec_... 9000

It keeps its members in memory, so it forgets them when it ends; a real one keeps them where it keeps everything else.
"""

import json
import sys
import urllib.request
import uuid
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

SEATS = 2
WELCOME = "@example.com"
NOTICES = {
    *("invite.given_back", "move.given_back", "invite.corrected", "invite.reminder"),
    *("access.moved", "access.ends_soon", "use.offered"),
}


class Team:
    """Who was invited. An invitation's webhook-id is the same on every try: it tells a repeat from a second one."""

    def __init__(self, secret: str) -> None:
        self.webhook = Webhook(secret)
        self.invited: dict[str, dict] = {}
        self.ended: set[str] = set()
        self.notices: list[tuple[str, str, str]] = []

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict]:
        """Answer one message: the status code, and what is said."""
        try:
            message = self.webhook.verify(body, headers)
        except WebhookVerificationError:
            return 401, {"status": "refused", "reason": "the signature is wrong"}
        if message["type"] == "invite.test":
            return 200, {"status": "sent"}
        if message["type"] in NOTICES:
            return self.notify(message["type"], message["data"])
        if message["type"] == "access.ended":
            return self.remove(message["data"]["reservation_id"])
        if message["type"] != "invite.requested":
            return 422, {"status": "refused", "reason": "no such message is known here"}
        return self.invite(headers["webhook-id"], message["data"])

    def invite(self, message_id: str, data: dict) -> tuple[int, dict]:
        """Invite a recipient, once; or return why not, or when to ask again."""
        if message_id in self.invited:
            return 200, {"status": "sent"}
        if data["reservation_id"] in self.ended:
            return 410, {"status": "refused", "reason": "this access has ended"}
        if not data["email"].endswith(WELCOME):
            return 422, {"status": "refused", "about": "address", "reason": f"only {WELCOME} is welcome here"}
        if len(self.invited) == SEATS:
            return 200, {"status": "later", "retry_after_s": 600, "reason": "team_full"}
        self.invited[message_id] = data
        return 200, {"status": "sent"}

    def remove(self, reservation_id: str) -> tuple[int, dict]:
        """Remove an access that has ended, also if it is gone already. An invitation that comes later is too late."""
        self.ended.add(reservation_id)
        self.invited = {key: data for key, data in self.invited.items() if data["reservation_id"] != reservation_id}
        return 200, {"status": "removed"}

    def notify(self, kind: str, data: dict) -> tuple[int, dict]:
        """Notify a recipient of what the ledger reports, since no other system does. Here it is only recorded, once."""
        notice = (kind, data["email"], data["subject"])
        if notice not in self.notices:
            self.notices.append(notice)
        return 200, {}

    def report(self, kind: str, message_id: str) -> int:
        """Report to the ledger that an invitation was accepted or bounced, or that access was removed."""
        data = self.invited[message_id]
        report_data = {"reservation_id": data["reservation_id"], "delivery": data["delivery"]}
        body, now = json.dumps({"type": kind, "data": report_data}), datetime.now(UTC)
        report_id = f"report_{uuid.uuid4().hex}"
        headers = {
            "content-type": "application/json",
            "webhook-id": report_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self.webhook.sign(report_id, now, body),
        }
        return post(data["callbacks"], body.encode(), headers)


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send a report; the status code of the answer."""
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - the ledger's own address, from a signed message
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        return answer.status


def server(team: Team, port: int) -> ThreadingHTTPServer:
    """Serve a team on this machine; a proxy in front of it speaks https."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, said = team.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: object) -> None:
            """Addresses of people are in no log."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    server(Team(sys.argv[1]), int(sys.argv[2])).serve_forever()
