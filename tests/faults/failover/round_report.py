"""What a round measured, and the table of a run."""

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.faults.failover.run_watch import DoctorAnswer, Readiness

COLUMNS: Final = (
    *("fault", "rounds", "without answers, median", "worst", "new primary"),
    *("`/readyz` 200", "`/readyz` 503", "no response", "`doctor` found errors"),
)


@dataclass(slots=True)
class FailoverRound:
    """One fault and what followed.

    Attributes:
        began, ended: Monotonic seconds of the fault, and of the first answers of the whole cluster.
        acked: Monotonic seconds of each acknowledgement, by load.
        is_other_primary: Whether another node leads afterwards.
        answered_before_healing: Whether clients got answers while the fault lasted.
    """

    fault: str
    began: float
    ended: float = 0.0
    acked: Sequence[Sequence[float]] = ()
    is_other_primary: bool = False
    answered_before_healing: bool = True
    readiness: list[Readiness] = field(default_factory=list)
    doctor: list[DoctorAnswer] = field(default_factory=list)

    def gap(self) -> tuple[float, float]:
        """Return begin and end of the longest time in which a load got no answer."""
        gaps = [
            (max(before, self.began), after)
            for times in self.acked
            for before, after in pairwise(times)
            if after > self.began and before < self.ended
        ]
        return max(gaps, key=lambda gap: gap[1] - gap[0], default=(self.began, self.ended))

    @property
    def gap_s(self) -> float:
        begin, end = self.gap()
        return end - begin

    def readiness_in_gap(self) -> list[int]:
        begin, end = self.gap()
        return [answer.status for answer in self.readiness if begin <= answer.at <= end]

    def doctor_in_gap(self) -> list[DoctorAnswer]:
        begin, end = self.gap()
        return [answer for answer in self.doctor if begin <= answer.at <= end]

    def line(self) -> str:
        statuses = self.readiness_in_gap()
        doctor = (
            "; ".join(f"exit {answer.exit_code} ({answer.errors})" for answer in self.doctor_in_gap()) or "not asked"
        )
        return (
            f"{self.fault}: {self.gap_s:.1f} s without answers, readyz 200 in {statuses.count(200)} of {len(statuses)}"
            f" answers, doctor {doctor}{'' if self.answered_before_healing else ', answers only once it was undone'}"
        )


def table(rounds: Sequence[FailoverRound]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---" * len(COLUMNS) + "|"
    by_fault: dict[str, list[FailoverRound]] = defaultdict(list)
    for one_round in rounds:
        by_fault[one_round.fault].append(one_round)
    for fault, same in by_fault.items():
        gaps = [one_round.gap_s for one_round in same]
        statuses = [status for one_round in same for status in one_round.readiness_in_gap()]
        doctor = [answer for one_round in same for answer in one_round.doctor_in_gap()]
        yield (
            f"| {fault} | {len(same)} | {statistics.median(gaps):.1f} s | {max(gaps):.1f} s"
            f" | {sum(one_round.is_other_primary for one_round in same)} of {len(same)}"
            f" | {statuses.count(200)} | {statuses.count(503)} | {statuses.count(0)}"
            f" | {sum(answer.exit_code != 0 for answer in doctor)} of {len(doctor)} |"
        )
