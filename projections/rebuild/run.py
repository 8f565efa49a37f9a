"""The command `rebuild`: progress, the report and the exit code, for `ledger rebuild` and `python -m projections`."""

import json
import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final, TextIO
from uuid import UUID

from projections.database.errors import SchemaMismatchError, StorageUnavailableError
from projections.rebuild.diff import Difference, difference_document
from projections.rebuild.lock import RebuildRunningError
from projections.rebuild.progress_store import SharedProgress
from projections.rebuild.rebuild import NothingToRebuildError, RebuildOptions, RebuildReport, SwapBusyError, rebuild
from projections.replay.observer import UndecodableEventError
from projections.replay.worker_pool import WorkerDiedError
from projections.terminal.exit_codes import ExitCode
from projections.terminal.progress_bars import progress_bar
from projections.terminal.text import one_line, say, write_document

LINE_EVERY_S = 2.0


class ProgressLines:
    """Shows progress: a bar on a terminal, plain lines elsewhere, JSON lines on request.

    Args:
        out: Never stdout, which is for the report.
        as_json: JSON lines.
        clock: Monotonic seconds.
        prints_result: Whether the command writes to stdout while this is shown.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        as_json: bool,
        clock: Callable[[], float] = time.monotonic,
        prints_result: bool = False,
    ) -> None:
        self._out, self._as_json, self._clock = out, as_json, clock
        self._name, self._total, self._began, self._printed_at = "", 0, clock(), 0.0
        self._bar = None if as_json else progress_bar(out, prints_result=prints_result, with_status=True)
        self._task = self._bar.add_task("", total=None, status="") if self._bar else None
        if self._bar:
            self._bar.start()

    def step(self, name: str, total: int) -> None:
        """Begin another step."""
        self._name, self._total, self._began, self._printed_at = name, total, self._clock(), 0.0
        if self._bar and self._task is not None:
            self._bar.reset(self._task, description=name, total=total or None, status="")
        elif self._as_json:
            self._line({"step": name, "total": total})
        else:
            say(f"{name}: {total} events" if total else name, to=self._out)

    def at(self, events: int, position: int) -> None:
        """Show how far it is."""
        elapsed_s = max(self._clock() - self._began, 1e-6)
        rate = events / elapsed_s
        left = max(self._total - events, 0) / rate if rate else 0.0
        status = f"position {position}, {rate:,.0f} events/s, {left:.0f} s left"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=events, status=status)
        elif self._printed_at == 0.0 or self._clock() - self._printed_at >= LINE_EVERY_S:
            self._printed_at = self._clock()
            if self._as_json:
                fields = {
                    "events": events,
                    "position": position,
                    "events_per_s": round(rate),
                    "left_s": round(left, 1),
                }
                self._line({"step": self._name, "total": self._total, **fields})
            else:
                say(f"{self._name}: {events}/{self._total} events, {status}", to=self._out)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.stop()

    def _line(self, document: dict[str, Any]) -> None:
        write_document(json.dumps(document) + "\n", self._out)


def run_rebuild(database_url: str, options: RebuildOptions, *, as_json: bool, out: TextIO, err: TextIO) -> int:
    """Rebuild, and print the report.

    Returns:
        0 if no row differs or everything was applied; 1 if rows differ or an event cannot be decoded; 3 if the database
        is unavailable or has another schema, or a worker process ended; 4 if another rebuild runs, the tables are
        busy, or a row of one code is asked for where there is none; 130 if interrupted.
    """
    progress = ProgressLines(err, as_json=as_json)
    try:
        with SharedProgress(database_url, progress) as shared:
            report = rebuild(database_url, options, shared)
    except KeyboardInterrupt:
        return _exit_with(progress, err, "interrupted; the read models did not change", ExitCode.INTERRUPTED)
    except UndecodableEventError as error:
        return _exit_with(progress, err, f"stopped; nothing was changed: {error}", ExitCode.FINDINGS)
    except (RebuildRunningError, SwapBusyError, NothingToRebuildError) as error:
        return _exit_with(progress, err, str(error), ExitCode.REFUSED)
    except (StorageUnavailableError, SchemaMismatchError, WorkerDiedError) as error:
        return _exit_with(progress, err, str(error), ExitCode.SERVICE)
    finally:
        progress.close()
    if as_json:
        print_document(report_document(report, options), out)
    else:
        print_report(report, out)
    return ExitCode.FINDINGS if report.differing and not options.apply else ExitCode.OK


def report_document(report: RebuildReport, options: RebuildOptions) -> dict[str, Any]:
    """Return the report as --json prints it."""
    return {
        "position": report.position,
        "events": report.events,
        "seconds": round(report.seconds, 3),
        "events_per_s": round(report.events / max(report.seconds, 1e-6)),
        "projections": sorted(options.projections),
        "code_id": options.only,
        "applied": report.lock_ms is not None,
        "lock_ms": None if report.lock_ms is None else round(report.lock_ms, 1),
        "differing": report.differing,
        "counts": report.counts,
        "differences": [difference_document(difference) for difference in report.listed],
    }


def print_report(report: RebuildReport, out: TextIO) -> None:
    """Print the report as text."""
    for difference in report.listed:
        say(*difference_lines(difference), to=out)
    if report.differing > len(report.listed):
        say(f"... and {report.differing - len(report.listed)} more", to=out)
    rate = report.events / max(report.seconds, 1e-6)
    read = f"{report.events} events up to position {report.position} in {report.seconds:.1f} s"
    say(f"{read} ({rate:,.0f} events/s)", to=out)
    if report.lock_ms is not None:
        say(f"applied: {report.differing} rows differed; redeem requests waited {report.lock_ms:.0f} ms", to=out)
    elif report.differing:
        say(f"{report.differing} rows differ; nothing was changed: repair them with --apply", to=out)
    else:
        say("no row differs", to=out)


def difference_lines(difference: Difference) -> list[str]:
    """Return the lines that describe one difference."""
    lines = [f"{difference.table} {difference.row_id}: {_HEADINGS[difference.change]}"]
    for name in difference.new or difference.old or {}:
        old, new = (difference.old or {}).get(name), (difference.new or {}).get(name)
        lines.append(
            f"    {name}: {_format_value(old)} -> {_format_value(new)}"
            if difference.old and difference.new
            else f"    {name}: {_format_value(new or old)}"
        )
    if difference.event is None:
        lines.append("    no event of the log explains this row")
    else:
        event = difference.event
        lines.append(
            f"    last event: {event.type}, version {event.version} of {event.stream}, position {event.position}"
        )
    return lines


def print_document(document: dict[str, Any], out: TextIO) -> None:
    """Print one JSON document."""
    write_document(json.dumps(document, indent=2, default=_to_json, ensure_ascii=False) + "\n", out)


_HEADINGS: Final = {"change": "would change", "appear": "is missing", "vanish": "should not be there"}


def _format_value(value: object) -> str:
    return "none" if value is None else str(value)


def _to_json(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _exit_with(progress: ProgressLines, err: TextIO, sentence: str, code: int) -> int:
    progress.close()
    say(one_line(sentence), to=err)
    return code
