"""Hand-outs that staff change while they run: two campaigns with the same recipients, who may opt out."""

import random
import threading
import time
from collections.abc import Callable, Container, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from tests.faults.chaos.faulty_mail_server import FaultyMailServer
from tests.faults.chaos.hand_out_observations import (
    CodeEmail,
    HandOutObservations,
    Pause,
    SubjectPeriod,
    count_codes,
)
from tests.faults.rigs.http_client import send
from tests.faults.rigs.retries import pause, retry
from tests.support.servers.embedded_stack import AGAIN, Stack
from tests.support.waiting import WAIT_S_MAX, wait_for

CAMPAIGNS = 2
VALID_DAYS = (7, 14)
"""Days from the hand-out of a code to its end, in each campaign."""
BETWEEN_S = (0.1, 0.6)
PAUSED_S = (1.0, 2.0)
ADDED, RESENDS = 3, 4
RATES = (120, 600, None)
OPTED_OUT_MAX = 0.25
"""Share of the recipients who opt out at most."""
Action = Callable[[random.Random], bool]
"""Returns whether it was done: an action may find nothing to act on yet."""
REFUSALS = {"HAND_OUT_CONFLICT", "HAND_OUT_CODE_CONFLICT", "HAND_OUT_MAIL_CONFLICT"}


class HandOutLoad:
    """Acts at a slow pace until it is stopped; each action is repeated until it has an answer."""

    def __init__(self, stack: Stack, mail: FaultyMailServer, seed: int, recipients_max: int) -> None:
        self._stack, self._mail, self._headers = stack, mail, stack.admin
        self._recipients_max = recipients_max
        self._number = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self.seen = HandOutObservations()
        self._hand_outs = dict(self._create(f"Campaign {nth}", VALID_DAYS[nth]) for nth in range(CAMPAIGNS))
        first: Sequence[Action] = (self._add, self._change, self._pause, self._remind)
        second = (self._give, self._resend, self._bounce, self._add, self._opt_out)
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(seed * 1000 + nth), actions), daemon=True)
            for nth, actions in enumerate((first, second))
        ]
        for thread in self._threads:
            thread.start()

    def wait_for_email(self) -> None:
        """Wait until a worker has sent one, so that actions meet emails, and faults meet both."""
        wait_for(self._mail.code_emails)

    def stop(self) -> None:
        """Let each thread end its first round, or its action; then nothing delays emails, and none are requested."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * WAIT_S_MAX)
        for hand_out_id, campaign_id in self._hand_outs.items():
            self._ask("PATCH", f"/api/v1/campaigns/{campaign_id}", {"remind_days": None})
            self._change_mailing(hand_out_id, None)

    def act_at_rest(self) -> None:
        """Change all hand-outs, have some emails sent again and pause one, now that all processes run."""
        choice = random.Random(self._number)
        for hand_out_id in self._hand_outs:
            self._change_mailing(hand_out_id, None)
        for _ in range(RESENDS):
            # Of one that was sent: a queued one, which `_resend` may choose, leads to no second email.
            wait_for(partial(self._act_on_recipient, choice, "resend", {"sent", "reminded"}))
        self._pause(choice)

    def _create(self, name: str, valid_days: int) -> tuple[str, str]:
        ends_at = (datetime.now(UTC) + timedelta(days=20)).isoformat()
        campaign = self._ask("POST", "/api/v1/campaigns", {"name": name, "ends_at": ends_at})
        body = {"campaign": campaign["id"], "name": name, "valid_for": f"P{valid_days}D"}
        hand_out = self._ask("POST", "/api/v1/hand-outs", body)
        self.seen.valid_days[str(hand_out["id"])] = valid_days
        self.seen.subjects.append(SubjectPeriod(str(hand_out["id"]), None, 0.0))
        return str(hand_out["id"]), str(campaign["id"])

    def _run(self, choice: random.Random, actions: Sequence[Action]) -> None:
        for action in actions:
            pause(choice, BETWEEN_S, self._stopping)
            wait_for(partial(action, choice))
        while not self._stopping.is_set():
            for action in choice.sample(actions, len(actions)):
                if pause(choice, BETWEEN_S, self._stopping):
                    return
                action(choice)

    def _add(self, choice: random.Random) -> bool:
        return self._add_some(choice.choice(list(self._hand_outs)))

    def _add_some(self, hand_out_id: str) -> bool:
        """Add some new recipients and one who may be in the list."""
        return self._add_to(hand_out_id, [self._next_address(0), *(self._next_address() for _ in range(ADDED))])

    def _add_to(self, hand_out_id: str, addresses: Sequence[str]) -> bool:
        body = {
            "recipients": [{"email": address, "language": "en", "count": count_codes(address)} for address in addresses]
        }
        answer = self._ask("POST", f"/api/v1/hand-outs/recipients?hand_out={hand_out_id}", body)
        if answer.get("applied"):
            self.seen.listed |= {(hand_out_id, address) for address in addresses}
            self.seen.actions["added"] += 1
        return bool(answer.get("applied"))

    def _give(self, choice: random.Random) -> bool:
        """Hand a code out that exists, to a recipient whom another list may get at the same time."""
        hand_out_id, campaign_id = choice.choice(list(self._hand_outs.items()))
        codes = self._ask("POST", "/api/v1/codes", {"campaign": campaign_id})
        address = self._next_address()
        body = {"code": codes[0]["code"], "email": address, "language": "en"} if codes else {}
        if not codes or not self._ask("POST", f"/api/v1/hand-outs/{hand_out_id}/codes", body):
            return False
        self.seen.listed.add((hand_out_id, address))
        self.seen.actions["gave a code"] += 1
        return True

    def _pause(self, choice: random.Random) -> bool:
        """Pause a hand-out with rows that are due, and resume it."""
        hand_out_id = choice.choice(list(self._hand_outs))
        if not self._ask("POST", f"/api/v1/hand-outs/{hand_out_id}/pause"):
            return False
        acknowledged_at = time.time()
        self._add_some(hand_out_id)
        pause(choice, PAUSED_S)
        self.seen.pauses.append(Pause(hand_out_id, acknowledged_at, time.time()))
        self._ask("POST", f"/api/v1/hand-outs/{hand_out_id}/resume")
        self.seen.actions["paused"] += 1
        return True

    def _change(self, choice: random.Random) -> bool:
        return self._change_mailing(choice.choice(list(self._hand_outs)), choice.choice(RATES))

    def _change_mailing(self, hand_out_id: str, per_minute: int | None) -> bool:
        period = SubjectPeriod(hand_out_id, f"Text {len(self.seen.subjects)}", time.time())
        before = [each for each in self.seen.subjects if each.hand_out_id == hand_out_id]
        self.seen.subjects.append(period)
        body = {"per_minute": per_minute, "texts": {"en": {"subject": period.subject}}}
        if not self._ask("PATCH", f"/api/v1/hand-outs/{hand_out_id}", body):
            return False
        for each in before:
            each.ends_at = min(each.ends_at, time.time())
        self.seen.actions["changed"] += 1
        return True

    def _remind(self, choice: random.Random) -> bool:
        """Let campaigns remind, or not, once emails were sent: workers look for reminders once a minute."""
        self.wait_for_email()
        days = 30 if "reminders" not in self.seen.actions else choice.choice([30, None])
        for campaign_id in self._hand_outs.values():
            if self._ask("PATCH", f"/api/v1/campaigns/{campaign_id}", {"remind_days": days}):
                self.seen.actions["reminders"] += 1
        return self.seen.actions["reminders"] > 0

    def _resend(self, choice: random.Random) -> bool:
        return self._act_on_recipient(choice, "resend", {"queued", "sent", "reminded", "refused", "bounced", "unknown"})

    def _bounce(self, choice: random.Random) -> bool:
        self.wait_for_email()
        return self._act_on_recipient(choice, "bounce", {"sent", "reminded", "unknown"})

    def _act_on_recipient(self, choice: random.Random, action: str, states: Container[str]) -> bool:
        hand_out_id, _ = choice.choice(sorted(self.seen.listed) or [(next(iter(self._hand_outs)), "")])
        page = self._ask("GET", f"/api/v1/hand-outs/{hand_out_id}/recipients?limit=200")
        if rows := [row for row in page.get("recipients", ()) if row["state"] in states]:
            code_id = choice.choice(rows)["code_id"]
            if self._ask("POST", f"/api/v1/hand-outs/{hand_out_id}/recipients/{code_id}/{action}"):
                self.seen.actions[action] += 1
                return True
        return False

    def _opt_out(self, choice: random.Random) -> bool:
        """A recipient of an email clicks once, as mail programs do (RFC 8058), and is in every list after that."""
        self.wait_for_email()
        arrivals = self._mail.code_emails()
        if not arrivals or len(self.seen.opt_outs) >= OPTED_OUT_MAX * self._number:
            return False
        email, asked_at = CodeEmail.read(choice.choice(arrivals)), time.time()
        status = retry(lambda: _click_once(email.opt_out_link))
        if status != HTTPStatus.OK:
            self.seen.defects.append(f"{status} for an opt-out")
            return True
        self.seen.opt_outs.setdefault(email.address, (asked_at, time.time()))
        self.seen.actions["opted out"] += 1
        for hand_out_id in self._hand_outs:
            self._add_to(hand_out_id, [email.address])
        return True

    def _next_address(self, step: int = 1) -> str:
        with self._lock:
            self._number += step
            return f"listed{self._number % self._recipients_max}@example.com"

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON document
        """Ask until there is an answer; what it says, or nothing after a refusal."""
        status, answer = self._stack.call_until_answered(method, path, body, self._headers)
        if status in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return answer
        if not isinstance(answer, dict) or answer.get("code") not in REFUSALS:
            self.seen.defects.append(f"{status} {str(answer)[:300]} for {method} {path}")
        return {}


def _click_once(link: str) -> int:
    """Send what a mail program sends; the status, or 0 if it has to ask again."""
    _, place, path, query, _ = urlsplit(link)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status = send(place, "POST", f"{path}?{query}", b"List-Unsubscribe=One-Click", form).status
    return 0 if status in AGAIN else status
