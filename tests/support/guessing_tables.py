"""What guessing is worth: the tables of docs/explanation/rate-limits.md, computed from the limits as they are."""

import math
from collections.abc import Iterable

from api.rate_limits.breaker import SHARE_MAX, UNKNOWN_MAX, WINDOW_S
from api.rate_limits.gcra import Limit
from api.rate_limits.guard import EVERYBODY, LIMITS, SHORT
from domain.values.code_strength import entropy_bits
from domain.values.identifiers import CHECK_MODULUS, CROCKFORD, NATIVE_LENGTH

NATIVE_BITS = math.log2(len(CROCKFORD) ** (NATIVE_LENGTH - 1) * len(CROCKFORD) / CHECK_MODULUS)
"""Of the 19 free characters, less the numbers that are drawn again since no character can write their check."""
GUESSES_PER_HOUR = 4_000_000
"""What one network of hijacked machines was seen to send against gift cards (GiftGhostBot, 2017)."""
HOURS_PER_YEAR = 24 * 365
REDEEMS_PER_MINUTE = 1_000
NATIVE_CODES, OLD_CODES = 1_000_000, 10_000
"""Codes out at once that a guess may hit."""
OLD_FORMS = (
    ("6 digits", "482913"),
    ("8 digits", "48291375"),
    ("8 letters and digits", "A7K2M9QX"),
    ("10 letters and digits", "A7K2M9QX4T"),
    ("12 letters and digits", "A7K2M9QX4TB6"),
    ("15 letters and digits", "A7K2M9QX4TB6W3Z"),
)


def per_year(limit: Limit) -> float:
    """The most that one key may spend in a year."""
    return limit.burst + HOURS_PER_YEAR * 3600 / limit.period_s


def looked_up_per_year(redeems_per_minute: int) -> float:
    """The most old codes that a guesser with any number of addresses has looked up in a year.

    Below the breaker's threshold forever, or above it and on what everybody shares; whichever is more.
    """
    below = max(UNKNOWN_MAX, redeems_per_minute * SHARE_MAX / (1 - SHARE_MAX)) / WINDOW_S
    return max(below, 1 / EVERYBODY.period_s) * HOURS_PER_YEAR * 3600


def native_table() -> str:
    """Codes made here, with no limit at all."""
    guesses = GUESSES_PER_HOUR * HOURS_PER_YEAR
    rows = [
        (f"{NATIVE_BITS:.1f}", f"{NATIVE_CODES:,}", f"{guesses:.2e}", shown(guesses * NATIVE_CODES / 2**NATIVE_BITS))
    ]
    return table(("bits", "codes out", "tries a year, no limit", "expected hits"), rows)


def old_table() -> str:
    """Short old codes: without limits, from one address, and from any number of them."""
    rates = (
        GUESSES_PER_HOUR * HOURS_PER_YEAR,
        per_year(SHORT),
        looked_up_per_year(0),
        looked_up_per_year(REDEEMS_PER_MINUTE),
    )
    rows = [
        (form, f"{entropy_bits(text):.0f}", *(shown(rate * OLD_CODES / 2 ** entropy_bits(text)) for rate in rates))
        for form, text in OLD_FORMS
    ]
    heads = (
        f"{OLD_CODES:,} codes of",
        "bits",
        "no limit",
        "one address",
        "any number of addresses",
        f"the same, with {REDEEMS_PER_MINUTE:,} redeems a minute",
    )
    return table(heads, rows)


def limit_table() -> str:
    rows = [(f"`{limit.name}`", str(limit.burst), f"{limit.period_s:g} s", f"{per_hour(limit):,}") for limit in LIMITS]
    return table(("limit", "burst", "refill interval", "per hour"), rows)


def per_hour(limit: Limit) -> int:
    """Units beyond the burst."""
    return round(3600 / limit.period_s)


def shown(hits: float) -> str:
    if hits >= 10:
        return f"{hits:,.0f} a year"
    if hits >= 1:
        return f"{hits:.1f} a year"
    years = 1 / hits
    return f"one in {years:,.0f} years" if years < 1e6 else f"one in 10^{math.floor(math.log10(years))} years"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
