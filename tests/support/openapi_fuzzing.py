"""Schemathesis over the whole API in this process: what its document allows, what it does not, and links in a row.

Each case is a request made up from the OpenAPI document; its answer has to be one that the document tells of.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from math import ceil
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation, BaseSchema

Operation = APIOperation[Any, Any, Any, Any]
AnyCase = Case[Any]
CASES: Final = int(os.environ.get("FUZZ_CASES", "1200"))
SEED: Final = int(os.environ.get("FUZZ_SEED", "8"))
PARTS: Final = 4
"""Tests among which the operations are split."""
IN_A_ROW: Final = 0.15
"""Share of the cases that are steps of clients who continue from answers."""
STEPS: Final = 6
ROUNDS_MAX: Final = 200
"""Runs of such clients, each with a seed of its own, until they have made their share of the cases."""
ENDLESS: Final = frozenset({"public_stream", "events_stream_events", "operation_metrics"})
"""Streams that continue for minutes, and a text of thousands of lines: tests of their own look at these."""
REFUSED_BY_RULE: Final = ("2xx", "400", "401", "403", "404", "409", "412", "422", "428")
"""What a request that the document allows may be answered with; of 422 see `assert_field_is_named`."""
REFUSED_BY_SCHEMA: Final = ("400", "401", "403", "404", "413", "422", "428")
"""What a request that the document forbids may be answered with.

The check's usual list lacks 413. The document names 413 for every operation with a body, and the size of a body is
checked before its schema; a 413 that the document lacks fails `status_code_conformance`.
"""
RULES_IN_WORDS: Final = frozenset(
    {
        *("query.cursor", "query.as_of", "query.map", "query.after", "header.idempotency-key", "header.content-type"),
        "header.Idempotency-Key",  # must be absent where nothing is repeatable; a generated null is sent as text
        *(
            "body",
            "body.from",
            "body.group",
            "body.kind",
            "body.url",
            "body.event_types",
            "body.expires_at",
            "body.starts_at",
            "body.ends_at",
            "body.occurred_at",
        ),
        *("body.to", "query.issued_from", "query.issued_to", "query.reserved_from", "query.reserved_to", "query.since"),
    }
)
"""Parts whose rule no schema can say: what a cursor is, the bounds of timestamps, which address is a target."""


schemathesis.openapi.format(
    "email-domain",
    st.builds(
        "{}{}.{}".format,
        st.sampled_from(["", "*."]),
        st.sampled_from(["shop", "a-b", "bücher", "例え"]),
        st.sampled_from(["example", "EXAMPLE.com", "example.org"]),
    ),
)
FIXED: Final[dict[str, dict[str, Any]]] = {"events_list_events": {"query": {"wait": 0}}}
"""Parts that are not made up: no request waits here for half a minute."""


def name_of(operation: Operation) -> str:
    name: str = operation.definition.raw["operationId"]
    return name


def load(app: Any, key: str) -> BaseSchema:  # noqa: ANN401 - any ASGI application
    """The API's document, and how it is called: with an API key."""
    config = SchemathesisConfig.from_dict(
        {
            "auth": {"openapi": {"HTTPBearer": {"bearer": key}}},
            "checks": {
                "positive_data_acceptance": {"expected-statuses": list(REFUSED_BY_RULE)},
                "negative_data_rejection": {"expected-statuses": list(REFUSED_BY_SCHEMA)},
            },
        }
    )
    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, config=config)


def operations(schema: BaseSchema) -> list[Operation]:
    documented = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return [operation for operation in documented if name_of(operation) not in ENDLESS]


def part_of(schema: BaseSchema, part: int) -> Iterator[Operation]:
    yield from operations(schema)[part::PARTS]


def examples_per_mode(schema: BaseSchema) -> int:
    """How many requests are made up for each operation, of those it allows and of those it does not."""
    varied = sum(_takes_anything(operation) for operation in operations(schema))
    return max(1, ceil(CASES * (1 - IN_A_ROW) / varied / 2))


def fuzz(operation: Operation, examples: int) -> int:
    """Call an operation with made-up requests.

    Returns:
        How many were made.

    Raises:
        FailureGroup: An answer is none that the document tells of.
    """
    request_count = _fuzz(operation, GenerationMode.POSITIVE, examples)
    return request_count + (_fuzz(operation, GenerationMode.NEGATIVE, examples) if _takes_anything(operation) else 0)


def _fuzz(operation: Operation, mode: GenerationMode, examples: int) -> int:
    request_count = 0

    @seed(SEED)
    @settings(_settings(), max_examples=examples)
    @given(case=operation.as_strategy(generation_mode=mode, **FIXED.get(name_of(operation), {})))
    def call(case: AnyCase) -> None:
        nonlocal request_count
        request_count += 1
        answer = case.call_and_validate()
        if mode is GenerationMode.POSITIVE:
            assert_field_is_named(answer)

    call()
    return request_count


def assert_field_is_named(answer: Response) -> None:
    """A request that the schema allows is malformed only by a rule that the document tells in words."""
    if answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return
    problem = answer.json()
    if problem["code"] in {
        "EMAIL_INVALID",
        "CODE_MALFORMED",
        "IDEMPOTENCY_KEY_REUSED",
        "TARGET_REFUSED",
        "TERMS_CONTRADICT",
        "CAMPAIGN_TERMS_INVALID",
        "CAMPAIGN_UNKNOWN",
        "HAND_OUT_UNKNOWN",
        "HAND_OUT_INVALID",
    }:
        return
    wrong = {fault["where"] for fault in problem.get("errors", [{"where": "nowhere"}])}
    # Which settings a channel has depends on its kind: the registry says it, not the schema.
    wrong = {where for where in wrong if not where.startswith("body.settings.")}
    assert wrong <= RULES_IN_WORDS, problem


def in_a_row(schema: BaseSchema) -> int:
    """Clients who continue from answers by the document's links.

    What a step may draw depends on earlier answers, and those on rows that earlier clients left behind. Hypothesis ends
    a run when the same choices offer other rules than before, so the next run starts from the next seed.

    Returns:
        How many requests they made.

    Raises:
        FailureGroup: An answer is none that the document tells of.
    """
    request_count = 0
    failures: list[BaseException] = []
    base = schema.exclude(operation_id=sorted(ENDLESS)).as_state_machine()

    class InProcessClient(base):  # type: ignore[valid-type, misc]  # schemathesis builds the class from the document
        def before_call(self, case: AnyCase) -> None:
            nonlocal request_count
            request_count += 1
            if case.query and "wait" in case.query:
                case.query["wait"] = 0
            super().before_call(case)

        def validate_response(self, *args: Any, **kwargs: Any) -> None:
            # Hypothesis replays a failure before it reports it, and a replay that draws other rules would hide it.
            try:
                super().validate_response(*args, **kwargs)
            except BaseException as error:
                failures.append(error)
                raise

    wanted_count = ceil(CASES * IN_A_ROW)
    for round_seed in range(SEED, SEED + ROUNDS_MAX):
        runs = max(2, ceil((wanted_count - request_count) / STEPS))
        _run_clients(InProcessClient, settings(_settings(), max_examples=runs, stateful_step_count=STEPS), round_seed)
        if failures:
            raise failures[0]
        if request_count >= wanted_count:
            return request_count
    raise AssertionError(f"{request_count} of {wanted_count} requests in {ROUNDS_MAX} rounds from seed {SEED}")


def _run_clients(machine: type[RuleBasedStateMachine], run_settings: settings, round_seed: int) -> None:
    with suppress(FlakyStrategyDefinition):
        seed(round_seed)(get_state_machine_test(machine, settings=run_settings, _min_steps=2))()


def _takes_anything(operation: Operation) -> bool:
    raw = operation.definition.raw
    return bool(raw.get("parameters") or raw.get("requestBody"))


def _settings() -> settings:
    return settings(
        database=None,
        derandomize=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        phases=[Phase.explicit, Phase.generate],
    )
