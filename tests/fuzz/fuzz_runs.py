"""Many inputs in turn to every parser. Each input has a generator of its own, so that one alone can be made again."""

from collections.abc import Sequence
from typing import Final

from tests.fuzz.mutator import Mutator
from tests.fuzz.parsers import PARSERS, Parser

INPUTS_IN_TESTS: Final = 50_000
INPUTS_PER_SEED: Final = 500
"""Of one parser under one generator: making a generator costs as much as an input."""


class CrashError(Exception):
    """A parser raised an error that its caller does not catch, or returned a wrong value."""


def fuzz(inputs: int, seed: int, parsers: Sequence[Parser] = PARSERS) -> dict[str, int]:
    """Give every parser its share of inputs.

    Returns:
        How many each one took.

    Raises:
        CrashError: The message names parser and seed; the cause is what was raised.
    """
    share = -(-inputs // len(parsers))
    for number, parser in enumerate(parsers):
        for start in range(0, share, INPUTS_PER_SEED):
            _run(parser, seed * 1_000_003 + number * 10_007 + start, min(INPUTS_PER_SEED, share - start))
    return {parser.__name__: share for parser in parsers}


def _run(parser: Parser, seed: int, inputs: int) -> None:
    mutator = Mutator(seed)
    for number in range(inputs):
        try:
            parser(mutator)
        except Exception as error:
            raise CrashError(f"{parser.__name__}: input {number} of Mutator({seed}): {error!r}") from error
