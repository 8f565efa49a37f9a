"""Chains of upcasters: from a former topic to one of today, or a clear error."""

import pytest

from domain.events.upcasters import Upcast, upcast_chain

TODAY = frozenset({"Sent:3"})
STEPS = {"Sent:1": Upcast("Sent:2", dict), "Sent:2": Upcast("Sent:3", dict)}


@pytest.mark.parametrize(("topic", "steps"), [("Sent:3", []), ("Sent:2", ["Sent:2"]), ("Sent:1", ["Sent:1", "Sent:2"])])
def test_chain_leads_to_a_topic_of_today(topic: str, steps: list[str]) -> None:
    assert upcast_chain(topic, TODAY, STEPS) == ("Sent:3", [STEPS[name] for name in steps])


def test_chain_without_a_next_step_is_refused() -> None:
    with pytest.raises(LookupError, match=r"no way from 'Sent:1' to an event of today: it ends at 'Sent:2'"):
        upcast_chain("Sent:1", TODAY, {"Sent:1": STEPS["Sent:1"]})


def test_chain_in_a_ring_is_refused() -> None:
    """It would never end."""
    with pytest.raises(LookupError, match="no way from 'a'"):
        upcast_chain("a", TODAY, {"a": Upcast("b", dict), "b": Upcast("a", dict)})
