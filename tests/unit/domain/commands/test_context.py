"""What all events of a command share: the time at which it takes effect, and who asked."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.commands.add_note import NoteOnCode, NoteOnReservation
from domain.commands.context import CommandContext, EventStamp, event_stamp
from domain.policy import Policy
from tests.support.ledger.scenario import START, Scenario
from tests.unit.domain.histories import History

BATCH = UUID(int=9)
OPEN: dict[str, Any] = {"max_uses": 3, "bound": False}


def test_stamp_names_time_actor_and_request() -> None:
    context = CommandContext(
        now=START, actor="staff", actor_id="s1", approved_by="s2", request_id="r1", correlation_id=BATCH
    )
    names = {"actor": "staff", "actor_id": "s1", "approved_by": "s2"}
    shared = {"at": START, **names, "request_id": "r1", "correlation_id": BATCH}
    scenario = Scenario()

    assert event_stamp(context, None) == EventStamp(START, START, shared)
    assert event_stamp(context, scenario.code) == EventStamp(START, START, shared)


def test_stamp_is_the_last_event_s_time_when_the_clock_went_back() -> None:
    """Then the stamp says when the event was stored."""
    scenario = Scenario()
    earlier = START - timedelta(microseconds=1)

    stamp = event_stamp(CommandContext(now=earlier, actor="sweep"), scenario.code)

    assert stamp.at == START
    assert (stamp.fields["at"], stamp.fields["recorded_at"]) == (START, earlier)


class NoteDraft:
    text_id = UUID(int=7)


def add_note(history: History, about: str) -> None:
    context, note = history.context("staff"), NoteDraft()
    if about == "note on code":
        history.run(NoteOnCode(context=context, code_id=history.code_id, note=note))
    else:
        history.run(NoteOnReservation(context=context, reservation_id=history.ids["li"], note=note))


@pytest.mark.parametrize(
    ("steps_before", "step", "terms"),
    [
        *(
            ("reserve", step, OPEN)
            for step in ("mei.redeem", "claim", "refund", "cancel", "correct:mei", "pause", "revoke", "limit:7")
        ),
        *(("reserve", step, OPEN) for step in ("note on code", "note on reservation")),
        *(
            ("deliver", step, {**OPEN, "validity_days": 30})
            for step in (*("refund", "resend", "accept", "bounce", "correct:mei", "removed", "rebind:blue", "outage+"),)
        ),
        *(("reserve claim", f"answer:{outcome}", {}) for outcome in ("sent", "busy", "lost", "refused")),
        # The sweep comes after a note, so what is due is due before the last event.
        ("reserve claim 120s note", "settle", {}),
        ("deliver 86460s note", "look", {"validity_days": 1}),
        ("park", "resolve:refunded", {}),
        # A corrected invitation waits for the answer of the channel.
        ("ly.deliver ly.correct:li>li", "ly.removal:gone", {"group": "TEAM", "channel": "webhook"}),
        # What a first command left.
        ("reserve mei.reserve revoke", "revokemore", {**OPEN, "policy": Policy(revoked_per_command=1)}),
        # The end in the former group is stored with it.
        ("deliver rebind:blue#s1>moved moved.claim", "moved.answer:sent", {"max_uses": 3, "group": "red"}),
    ],
)
def test_command_takes_effect_after_the_last_event(steps_before: str, step: str, terms: dict[str, Any]) -> None:
    """Although the clock went back: the events say when they were stored."""
    history = History(steps_before.removesuffix("note"), **terms)
    if steps_before.endswith("note"):
        add_note(history, "note on code")
    last_at, before = history.code.last_at, len(history.events)
    history.passes(-60)

    if step.startswith("note"):
        add_note(history, step)
    else:
        history.run_steps(step)

    added = history.events[before:]
    assert added
    assert {(event.at, event.recorded_at) for event in added} == {(last_at, last_at - timedelta(seconds=60))}
    if "removal" in step:
        assert history.kinds[-2:] == ["AccessRemoved", "InviteReleased"]
    if step.startswith("moved."):
        assert history.kinds[-1] == "AccessReplaced"
