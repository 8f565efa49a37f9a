"""What hand-outs promise, told from the log alone: one code for a recipient, one outcome for an email, one reminder."""

from collections import Counter
from collections.abc import Iterator

from domain.events.hand_out import (
    CodeHandedOut,
    HandOutBounced,
    HandOutMailEvent,
    HandOutReminded,
    HandOutResendRequested,
)
from tests.simulation.checks.run_result import RunResult


def find_repeated_hand_outs(run: RunResult) -> Iterator[str]:
    """Each fact about a recipient of a hand-out happens once."""
    counts: Counter[str] = Counter()
    for _, code_id, event in run.facts:
        match event:
            case CodeHandedOut():
                counts[f"recipient {event.recipient_id} of hand-out {event.hand_out_id} got a code"] += 1
                counts[f"code {code_id} was handed out"] += 1
            case HandOutReminded() | HandOutResendRequested():
                counts[f"code {code_id} had email {event.mail}"] += 1
                counts[f"code {code_id} had a reminder"] += isinstance(event, HandOutReminded)
            case HandOutBounced():
                counts[f"code {code_id}: email {event.mail} bounced"] += 1
            case HandOutMailEvent():
                counts[f"code {code_id}: email {event.mail} ended"] += 1
            case _:
                pass
    yield from (f"{what} {count} times" for what, count in counts.items() if count > 1)
