"""Where a test sleeps, reads a clock, or bounds a wait or an example: it may depend on the speed of the machine."""

import ast
from collections import Counter
from typing import Final

from tests.architecture.sources import find, parse

CLOCKS: Final = frozenset({"time.sleep", "time.monotonic", "time.perf_counter", "time.time", "asyncio.sleep"})
WAITS: Final = frozenset({"wait", "join", "result", "communicate", "run", "check_output", "urlopen"})
"""Calls that end once something has happened, so a number bounds how long the machine may take for it."""
SECONDS_MIN: Final = 1
"""Shorter bounds are those of tests in which nothing must happen."""


def count_timed_calls(text: str) -> Counter[str]:
    """Count the calls that sleep or read a clock, and the waits (`bound`) whose bound is a number, not WAIT_S_MAX."""
    counts: Counter[str] = Counter()
    for call in find(parse(text), ast.Call):
        if not isinstance(call.func, ast.Attribute):
            continue
        name = f"{getattr(call.func.value, 'id', '')}.{call.func.attr}"
        # asyncio.sleep(0) gives way to other tasks and waits for nothing.
        if name in CLOCKS and ast.unparse(call) != "asyncio.sleep(0)":
            counts[name] += 1
        if call.func.attr in WAITS:
            counts["bound"] += sum(map(_is_long, [*call.args[:1], *(word.value for word in call.keywords)]))
    return +counts


def find_example_bounds(text: str) -> list[str]:
    """List the settings of Hypothesis that set a deadline, or suppress health checks but not that of slow drawing."""
    bounds = []
    for call in find(parse(text), ast.Call):
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in {"settings", "register_profile"}:
            words = {word.arg: ast.unparse(word.value) for word in call.keywords}
            if words.get("deadline", "None") != "None" or "too_slow" not in words.get(
                "suppress_health_check", "too_slow"
            ):
                bounds.append(ast.unparse(call))
    return bounds


def _is_long(bound: ast.expr) -> bool:
    value = bound.value if isinstance(bound, ast.Constant) else None
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= SECONDS_MIN
