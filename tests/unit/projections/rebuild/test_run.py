import json
from io import StringIO

from projections.rebuild.run import ProgressLines


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen(StringIO):
    def isatty(self) -> bool:
        return True


def report_progress(out: StringIO, *, as_json: bool) -> None:
    """Ten thousand events, half of them after five seconds; in between too soon for another line."""
    clock = Clock()
    progress = ProgressLines(out, as_json=as_json, clock=clock)
    progress.step("fold", 10_000)
    for seconds, events in ((5.0, 5_000), (5.5, 5_500), (10.0, 10_000)):
        clock.now = seconds
        progress.at(events, events * 2)
    progress.step("compare", 0)
    progress.close()


def test_elsewhere_it_is_plain_lines() -> None:
    report_progress(out := StringIO(), as_json=False)

    assert out.getvalue().splitlines() == [
        "fold: 10000 events",
        "fold: 5000/10000 events, position 10000, 1,000 events/s, 5 s left",
        "fold: 10000/10000 events, position 20000, 1,000 events/s, 0 s left",
        "compare",
    ]


def test_for_programs_it_is_json_lines() -> None:
    report_progress(out := StringIO(), as_json=True)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]

    assert {
        "step": "fold",
        "total": 10000,
        "events": 5000,
        "position": 10000,
        "events_per_s": 1000,
        "left_s": 5.0,
    } in lines
    assert lines[-1] == {"step": "compare", "total": 0}


def test_on_a_terminal_it_is_a_bar() -> None:
    progress = ProgressLines(out := Screen(), as_json=False, clock=(clock := Clock()))
    progress.step("fold", 10_000)
    clock.now = 5.0
    progress.at(5_000, 7_000)
    progress.close()

    assert "fold" in out.getvalue()
    assert "position 7000, 1,000 events/s, 5 s left" in out.getvalue()
