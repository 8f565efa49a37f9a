"""`make long-life`: one process life with more codes than it caches, whose database connections end again and again.

Each code is redeemed once by its person; between these, earlier codes are asked for again, by the same person or by
another one. So every answer is known beforehand, however much the process has forgotten, and is compared with the log.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psutil
import psycopg

from api.cli.embedded.tcp_ports import find_free_port
from tests.support.servers.embedded_stack import Stack

CLIENTS: Final = 16
ISSUED_AT_ONCE: Final = 10_000
REFUSALS: Final = {"CODE_HELD", "CODE_EXHAUSTED"}
ASK_AGAIN: Final = {429, 503}
ASKED_S_MAX: Final = 60.0
"""A request without an answer is asked again for so long, in seconds."""
RETRY_S: Final = 0.2
GROWTH_MAX: Final = 1.25
"""Most that the memory of the API may grow after the first third, when every cache is full."""
REPORT_EVERY_S: Final = 15.0


@dataclass
class Plan:
    """How many codes are issued, how often they are redeemed, and how often the database's connections are ended."""

    codes: int
    redeems: int
    end_every_s: float
    seed: int = 0


@dataclass
class Life:
    """What was seen.

    Attributes:
        reservations: Ids of reservations by the number of their code, as they were answered.
        counts: Answers by status, or by problem code.
        defects: Answers that are not what the log holds.
        memory: Bytes of the API process, over time.
    """

    reservations: dict[int, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    ended: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)


class _Client:
    def __init__(self, base: str) -> None:
        self._address = urlsplit(base)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def redeem(self, code: str, email: str) -> tuple[int, dict[str, Any]]:
        """Redeem; status 0 if no answer came."""
        body = json.dumps({"code": code, "email": email}).encode()
        head = (
            f"POST /api/v1/public/redeem HTTP/1.1\r\nHost: {self._address.netloc}\r\nAccept-Language: en\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._address.hostname, self._address.port)
            reader, writer = self._streams
            writer.write(head.encode() + body)
            headers = await reader.readuntil(b"\r\n\r\n")
            length = int(headers.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            return int(headers[9:12]), json.loads(await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0, {}

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def run_clients(base: str, codes: list[str], plan: Plan, life: Life) -> None:
    steps = _steps(plan)
    begun: set[int] = set()
    answered = {number: asyncio.Event() for number in range(plan.codes)}

    async def client() -> None:
        connection = _Client(base)
        for number, kind in steps:
            if kind != "first":
                await answered[number].wait()
            person = f"person{number}@example.com" if kind != "other" else f"other{number}@example.com"
            begun.add(number)
            status, answer = await _ask_until_answered(connection, codes[number], person, life)
            _judge(life, number, kind, status, answer)
            answered[number].set()
        connection.close()

    await asyncio.gather(*(client() for _ in range(CLIENTS)))


def _steps(plan: Plan) -> Iterator[tuple[int, str]]:
    """Yield the number of the next code, and who asks: its person for the first time or again, or another one."""
    choice = random.Random(plan.seed)
    further = plan.redeems - plan.codes
    for number in range(plan.codes):
        yield number, "first"
        for _ in range((number + 1) * further // plan.codes - number * further // plan.codes):
            yield choice.randrange(number + 1), choice.choice(("again", "other"))


async def _ask_until_answered(client: _Client, code: str, email: str, life: Life) -> tuple[int, dict[str, Any]]:
    ends = time.monotonic() + ASKED_S_MAX
    while True:
        status, answer = await client.redeem(code, email)
        life.counts[str(answer.get("code") or status)] += 1
        if (status and status not in ASK_AGAIN) or time.monotonic() > ends:
            return status, answer
        await is_over(life.over, RETRY_S)


def _judge(life: Life, number: int, kind: str, status: int, answer: dict[str, Any]) -> None:
    """Compare an answer with what must be answered; a first request may repeat one whose answer was lost."""
    reservation_id = life.reservations.get(number)
    if kind == "other":
        is_right = status == 400 and answer.get("code") in REFUSALS
    elif kind == "again":
        is_right = status == 200 and answer.get("reservation_id") == reservation_id
    else:
        is_right = status in {200, 202}
        life.reservations[number] = str(answer.get("reservation_id"))
    if not is_right:
        life.defects.append(f"code {number}, {kind}: {status} {answer}")


async def is_over(over: asyncio.Event, seconds: float) -> bool:
    """Let time pass, at most until the life is over; return whether it is."""
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return over.is_set()


async def end_connections(url: str, plan: Plan, life: Life, api: psutil.Process) -> None:
    """End the database's connections again and again, and look at the memory of the API."""
    while not await is_over(life.over, plan.end_every_s):
        life.memory.append(api.memory_info().rss)
        await asyncio.to_thread(_end_all, url)
        life.ended += 1


def _end_all(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


async def report(plan: Plan, life: Life) -> None:
    while not await is_over(life.over, REPORT_EVERY_S):
        memory = life.memory[-1] // 1_000_000 if life.memory else 0
        say(f"{sum(life.counts.values())} of {plan.redeems}: {dict(life.counts)}, API {memory} MB, {life.ended} ends")


def live(folder: Path, plan: Plan) -> Life:
    """Run a plan over a separate stack, and compare every answer with the log."""
    stack = Stack(folder, find_free_port(), {"LEDGER_SMTP_URL": "null://", "LEDGER_RATE_LIMIT": "off"})
    life = Life()
    try:
        stack.wait_ready()
        codes = _issue(stack, plan.codes)
        url = stack.info["database_url"]
        api = next(each for each in stack.processes() if "api.main" in " ".join(each.cmdline()))
        asyncio.run(_live(stack.base, codes, plan, life, url, api))
        life.defects += compare_with_log(url, life)
        verified = stack.cli("verify")
        if verified.returncode:
            life.defects.append(f"ledger verify: {verified.stdout[-500:]}{verified.stderr[-500:]}")
    finally:
        stack.stop()
    settled = life.memory[len(life.memory) // 3 :]
    if settled and settled[-1] > settled[0] * GROWTH_MAX:
        life.defects.append(f"the API grew from {settled[0]} to {settled[-1]} bytes")
    return life


async def _live(base: str, codes: list[str], plan: Plan, life: Life, url: str, api: psutil.Process) -> None:
    others = [asyncio.create_task(end_connections(url, plan, life, api)), asyncio.create_task(report(plan, life))]
    try:
        await run_clients(base, codes, plan, life)
    finally:
        life.over.set()
        ended = await asyncio.gather(*others, return_exceptions=True)
        life.defects += [repr(error) for error in ended if isinstance(error, Exception)]


def _issue(stack: Stack, count: int) -> list[str]:
    codes: list[str] = []
    while len(codes) < count:
        issued = stack.cli("issue", "--count", str(min(ISSUED_AT_ONCE, count - len(codes))), "--open", "--json")
        codes += [each["code"] for each in json.loads(issued.stdout)]
    return codes


def compare_with_log(url: str, life: Life) -> list[str]:
    """Return where the reservations of the log are not those that were answered, one for each code."""
    with psycopg.connect(url) as conn:
        rows = conn.execute("SELECT reservation_id::text FROM reservations").fetchall()
        reserved = conn.execute("SELECT count(*) FROM ledger_events WHERE topic = 'UseReserved:1'").fetchone()
    in_log, answered = {row[0] for row in rows}, set(life.reservations.values())
    defects = [f"answered and not in the log: {each}" for each in sorted(answered - in_log)]
    defects += [f"in the log and not answered: {each}" for each in sorted(in_log - answered)]
    if reserved != (len(life.reservations),):
        defects.append(f"{reserved} reservations in the log for {len(life.reservations)} codes")
    return defects


def main() -> int:
    parser = argparse.ArgumentParser(prog="make long-life", description=__doc__)
    parser.add_argument("--codes", type=int, default=200_000)
    parser.add_argument("--redeems", type=int, default=300_000)
    parser.add_argument("--end-every-s", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    plan = Plan(**vars(parser.parse_args()))
    say(f"seed {plan.seed}: {plan.codes} codes, {plan.redeems} redeems")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ledger-long-life-") as folder:
        Path(folder).chmod(0o711)
        life = live(Path(folder) / "ledger", plan)
    memory = [size // 1_000_000 for size in life.memory]
    say(f"{dict(life.counts)} in {time.monotonic() - started:.0f} s; connections ended {life.ended} times")
    say(f"memory of the API in MB: {memory[:: max(1, len(memory) // 20)]}")
    for defect in life.defects[:20]:
        say(f"BROKEN: {defect}")
    return 1 if life.defects else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
