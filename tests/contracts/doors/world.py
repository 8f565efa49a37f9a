"""The ledger behind all doors, and the states to which its codes, reservations, campaigns and hand-outs are brought."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

from api.use_cases import campaign_actions, code_actions, reservation_actions
from api.use_cases.hand_outs import hand_out_actions
from api.use_cases.services import Caller
from domain.commands.delivery.claim_attempt import ClaimAttempt
from domain.ports import Outcome, OutcomeUnknown
from domain.values.link_token import DeliveryRef, correction_token, link_token
from tests.support.clients.app_client import SENT, AppClient
from tests.support.clients.staff_browser import StaffBrowser, code_id_of
from tests.support.ledger.ledger_bench import LedgerBench, done

STAFF: Final = Caller(actor="operator")
LATER: Final = datetime(2100, 1, 1, tzinfo=UTC)
NOTE: Final = "asked-by-phone"
LOST: Final = OutcomeUnknown(server="mx:25", cause="connection_lost")
NUMBERS: Final = count(1)

Names = dict[str, str]
"""What a case is about, by the names in the templates of the actions."""


@dataclass
class World:
    """A started application with an open ledger, and an admin who uses it."""

    app: AppClient
    bench: LedgerBench
    admin: StaffBrowser
    token: str
    key: dict[str, str]

    def position(self) -> int:
        """Return the position of the newest event."""
        return int(self.rows("SELECT coalesce(max(notification_id), 0) FROM ledger_events")[0][0])

    def events_after(self, position: int) -> tuple[str, ...]:
        """Return the types of the events after a position."""
        query = "SELECT topic FROM ledger_events WHERE notification_id > %s ORDER BY notification_id"
        return tuple(str(topic).partition(":")[0] for (topic,) in self.rows(query, position))

    def rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        """Ask the database by a connection that is open."""
        with self.app.services.storage.datastore.get_connection() as conn:
            return [tuple(row.values()) for row in conn.execute(query.encode(), params).fetchall()]


Build = Callable[[World], Names]


def new_email(domain: str = "example.com") -> str:
    """Return an address that no other case has."""
    return f"person{next(NUMBERS)}@{domain}"


def nothing(_: World) -> Names:
    """Name what does not exist."""
    ids = {name: str(uuid4()) for name in ("code_id", "reservation", "campaign", "hand_out", "line")}
    return {**ids, "code": "NOSUCHCODE", "email": new_email(), "other": new_email(), "token": "-"}


def code(world: World, *, email: str | None = None, **terms: Any) -> Names:
    """Issue a code with these terms; for one use, and bound, if they do not say otherwise."""
    text = world.bench.issue(**terms)
    return {"code": text, "code_id": str(code_id_of(world.app, text)), "email": email or new_email()}


def reserve(world: World, names: Names) -> Names:
    """Redeem the code; name the reservation, and what its recipient and client got."""
    reservation_id = done(world.bench.redeem(names["code"], names["email"])).require_reservation().reservation_id
    secret = world.app.services.settings.secret_key.get_secret_value().encode()
    return {
        **names,
        "reservation": str(reservation_id),
        "token": correction_token(secret, reservation_id),
        "link": link_token(secret, DeliveryRef(reservation_id, 1)),
        "other": new_email(),
    }


def code_of(**terms: Any) -> Build:
    return lambda world: code(world, **terms)


def reservation_of(outcome: Outcome | None = None, **terms: Any) -> Build:
    """Return what redeems a new code, and ends the first attempt at the invitation as named."""

    def build(world: World) -> Names:
        names = reserve(world, code(world, **terms))
        if outcome is not None:
            world.bench.attempt(UUID(names["reservation"]), outcome)
        return names

    return build


def campaign_of(*, uses: int = 0, is_sent: bool = False, **terms: Any) -> Build:
    """Return what creates a campaign with a code of 9 uses for anybody; other people have some of them."""

    def build(world: World) -> Names:
        campaign_id = world.bench.create_campaign(**terms)
        names = {**code(world, max_uses=9, bound=False, campaign_id=campaign_id), "campaign": str(campaign_id)}
        for _ in range(uses):
            redeemed = reserve(world, {**names, "email": new_email()})
            if is_sent:
                world.bench.attempt(UUID(redeemed["reservation"]))
        return names

    return build


def hand_out_of(*, is_sent: bool = False) -> Build:
    """Return what creates a hand-out to one person; their code is issued if the email was sent."""

    def build(world: World) -> Names:
        campaign_id = world.bench.create_hand_out()
        query = "SELECT hand_out_id, code_id FROM hand_out_recipients WHERE campaign_id = %s"
        ((hand_out_id, line),) = world.rows(query, campaign_id)
        if is_sent:
            world.bench.hand_out_code(line)
        return {"campaign": str(campaign_id), "hand_out": str(hand_out_id), "line": str(line), "email": new_email()}

    return build


def after(build: Build, use_case: Callable[..., object], name: str, *args: object, **named: object) -> Build:
    """Return what does the same, and then what staff do about the thing of this name."""

    def build_more(world: World) -> Names:
        names = build(world)
        use_case(world.app.services, STAFF, UUID(names[name]), *args, **named)
        return names

    return build_more


def with_names(build: Build, more: Build) -> Build:
    """Return what brings about both; the second names what both do."""
    return lambda world: {**build(world), **more(world)}


def by_another(build: Build) -> Build:
    """Return what does the same, and then names another person."""
    return with_names(build, lambda _: {"email": new_email()})


def at_time(build: Callable[..., Build], **days: int) -> Build:
    """Return what does the same with terms that are so many days from now."""

    def build_now(world: World) -> Names:
        now = world.app.services.now()
        return build(**{name: now + timedelta(days=number) for name, number in days.items()})(world)

    return build_now


paused_code = after(code, code_actions.pause, "code_id")
revoked_code = after(code, code_actions.revoke, "code_id")
expired_code = at_time(code_of, expires_at=-1)
early_code = at_time(code_of, starts_at=2)

pending = reservation_of(group="red")
sent = reservation_of(SENT, group="red")
sent_into_blue = reservation_of(SENT, group="blue")
sent_with_moves = reservation_of(SENT, group="red", rebinds_max=3)
sent_without_moves = reservation_of(SENT, group="red", rebinds_max=0)
sent_of_two = reservation_of(SENT, max_uses=2)
sent_unbound = reservation_of(SENT, bound=False)
sent_to_another = by_another(reservation_of(SENT, max_uses=2, bound=False))
unknown = reservation_of(LOST, group="red")
sent_by_paused = after(sent, code_actions.pause, "code_id")
sent_by_revoked = after(sent, code_actions.revoke, "code_id")
refunded = after(sent, reservation_actions.refund, "reservation", revoke_access=True)
accepted = after(sent, reservation_actions.accept_invite, "reservation", delivery=1)
bounced = after(sent, reservation_actions.record_bounce, "reservation", delivery=1, reason="mailbox_full")
resent = after(sent, reservation_actions.resend, "reservation")
moving = after(sent, reservation_actions.rebind, "reservation", "blue")

campaign = campaign_of()
paused_campaign = after(campaign, campaign_actions.pause_campaign, "campaign")
ended_campaign = after(campaign, campaign_actions.end_campaign, "campaign")
early_campaign = at_time(campaign_of, starts_at=2)
held_campaign = campaign_of(uses=1, max_uses=1)
outside_campaign = with_names(campaign, code)
outside_ended = with_names(ended_campaign, code)
outside_blue = with_names(campaign_of(group="blue"), code)
outside_nothing = with_names(nothing, code)
outside_pending = with_names(campaign, pending)
outside_revoked = with_names(campaign, revoked_code)
campaign_of_one = campaign_of(max_uses=1)
campaign_full_today = campaign_of(uses=1, max_per_day=1)
campaign_of_domain = campaign_of(allowed_domains="example.edu")
free_waiting_campaign = campaign_of(max_uses=1, waiting_hours=24)
full_waiting_campaign = campaign_of(uses=1, max_uses=1, waiting_hours=24)
used_campaign = campaign_of(uses=1, is_sent=True, max_uses=1)

hand_out = hand_out_of()
handed_out = hand_out_of(is_sent=True)
revoked_handed_out = after(handed_out, code_actions.revoke, "line")
paused_hand_out = after(hand_out, hand_out_actions.pause_hand_out, "hand_out")
ended_hand_out = after(hand_out, hand_out_actions.end_hand_out, "hand_out")
hand_out_and_code = with_names(hand_out, code)
hand_out_of_no_code = with_names(nothing, hand_out)


def leased(world: World) -> Names:
    """Let a worker send an invitation right now."""
    names, context = pending(world), world.bench.context("worker", "t1")
    about = UUID(names["reservation"])
    done(world.bench.run(ClaimAttempt(context=context, reservation_id=about, channel="smtp", case_id=uuid4())))
    return names


def moved(world: World) -> Names:
    """Move the access of a reservation to the group blue, where its invitation was sent."""
    names = sent(world)
    former = UUID(names["reservation"])
    rebind = reservation_actions.rebind(world.app.services, STAFF, former, "blue")
    world.bench.attempt(rebind.require_reservation().reservation_id)
    return names


def two_uses(world: World) -> Names:
    """Redeem one code for two people, of whom the second is the other of the first."""
    names = reservation_of(max_uses=5, bound=False)(world)
    reserve(world, {**names, "email": names["other"]})
    return names


def to_same_address(world: World) -> Names:
    names = sent(world)
    return {**names, "other": names["email"]}


def to_other_domain(world: World) -> Names:
    return {**reservation_of(SENT, allowed_domains="example.com")(world), "other": new_email("example.edu")}


def without_mailbox(world: World) -> Names:
    """Name a person whose mailbox does not exist, as a mail server reported, and a free code."""
    names = after(sent, reservation_actions.record_bounce, "reservation", delivery=1, reason="mailbox_unknown")(world)
    return code(world, email=names["email"])


def to_no_mailbox(world: World) -> Names:
    return {**sent(world), "other": without_mailbox(world)["email"]}


def with_other_code(world: World) -> Names:
    return {**pending(world), "code": code(world)["code"]}


def without_token(build: Build) -> Build:
    """Return what does the same for a client that did not make the reservation."""
    return lambda world: {**build(world), "token": "-"}


def of_other_campaign(world: World) -> Names:
    names = campaign(world)
    return {**names, "campaign": campaign(world)["campaign"]}


def second_use_of_person(world: World) -> Names:
    """Let a person have the one use that a campaign gives to each, and name another of its codes."""
    names = campaign_of(max_per_person=1)(world)
    reserve(world, names)
    return code(world, email=names["email"], campaign_id=UUID(names["campaign"]))


def throwaway(world: World) -> Names:
    return {**campaign_of(throwaway="refuse")(world), "email": new_email("mailinator.com")}
