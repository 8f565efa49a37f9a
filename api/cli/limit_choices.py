"""What limits of a campaign or a code would mean, as commands print it before they are set."""

from collections.abc import Sequence

from api.cli.printing import format_timestamp
from api.schemas.campaigns import CodeLimitChoiceView, LimitChoiceView
from projections.terminal.text import say


def say_limit_choices(choices: Sequence[LimitChoiceView] | Sequence[CodeLimitChoiceView], indent: str = "") -> None:
    """Print each choice of the uses that count: the numbers after it, the thresholds it crosses, the uses over it."""
    for choice in choices:
        if choice.refused is not None:
            say(f"{indent}{choice.counting}: {choice.refused}")
            continue
        left = "unlimited" if choice.available is None else choice.available
        numbers = f"counted {choice.counted}, available {left}, over the limit"
        if isinstance(choice, CodeLimitChoiceView):
            say(f"{indent}{choice.counting}: limit {choice.max_uses}, {numbers} {choice.over}")
        else:
            say(f"{indent}{choice.counting}: {numbers}s {choice.over}")
        for threshold in choice.crossed:
            say(f"{indent}  crosses {threshold}")
        for use in choice.uses_over:
            say(f"{indent}  over: reservation {use.reservation_id} of {format_timestamp(use.reserved_at)} UTC")
