import random
from typing import NamedTuple
from uuid import UUID

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from domain.commands.context import CommandContext
from domain.policy import Policy
from domain.results import Result
from projections.telemetry.redemption_spans import RedemptionTracer, is_sampled, trace_id_of
from tests.support.ledger.scenario import Scenario, done

SEED = 20261127


class TracedRedeem(NamedTuple):
    context: CommandContext


def random_ids(count: int) -> list[UUID]:
    source = random.Random(SEED)
    texts = (f"019e0000-{source.getrandbits(10):04x}-7{source.getrandbits(12):03x}-" for _ in range(count))
    ordered = [UUID(f"{text}{0x8000 | source.getrandbits(14):04x}-{source.getrandbits(48):012x}") for text in texts]
    return [UUID(int=source.getrandbits(128), version=4) for _ in range(count // 2)] + ordered[: count // 2]


def test_share_of_sampled_reservations_is_the_ratio() -> None:
    """The fixed bits of a UUID do not distort the share."""
    ids = random_ids(20_000)
    shares = [sum(is_sampled(each, ratio) for each in ids) / len(ids) for ratio in (0.0, 0.01, 0.5, 1.0)]

    assert (shares[0], shares[3]) == (0.0, 1.0)
    assert 0.007 < shares[1] < 0.013, f"seed {SEED}"
    assert 0.48 < shares[2] < 0.52, f"seed {SEED}"


def test_sampling_agrees_with_the_standard_sampler() -> None:
    """A collector or another service that samples by the same ratio keeps the same traces."""
    sampler = TraceIdRatioBased(0.25)
    ids = random_ids(2_000)
    standard = [sampler.should_sample(None, trace_id_of(each), "any").decision is not Decision.DROP for each in ids]

    assert [is_sampled(each, 0.25) for each in ids] == standard, f"seed {SEED}"


def test_reservations_have_different_traces() -> None:
    ids = random_ids(1_000)

    assert len({trace_id_of(each) for each in ids}) == len(ids)


def test_only_a_redeem_that_begins_a_reservation_records_the_root_of_its_trace() -> None:
    """A rebind and a correction are no redeem requests, and a repeated one begins nothing."""
    exporter, scenario = InMemorySpanExporter(), Scenario(max_uses=None, bound=False)
    tracer = RedemptionTracer(SimpleSpanProcessor(exporter), 1.0, "backend", lambda: scenario.now, random.randbytes)

    def record(result: Result) -> list[str]:
        exporter.clear()
        tracer.record_commit([TracedRedeem(scenario.context("person"))], [done(result)], scenario.now)
        return [span.name for span in exporter.get_finished_spans()]

    assert record(scenario.redeem()) == ["commit", "redemption", "traced redeem"]
    scenario.claim(scenario.newest_use() or scenario.new_id())
    scenario.passes(Policy().lease_s)
    assert record(scenario.redeem()) == ["commit", "traced redeem"]  # it only records that the lease has ended
    assert record(scenario.correct(scenario.reserved("mei"), "wang")) == ["commit", "traced redeem"]
    tracer.close()
