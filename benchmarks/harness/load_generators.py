"""Clients and programs that generate load, with the command that installs a missing one."""

import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
INSTALLATION = {
    "wrk": "Debian and Ubuntu: apt install wrk; macOS: brew install wrk",
    "pgbench": "Debian and Ubuntu: apt install postgresql-contrib; macOS: brew install postgresql",
}
REDEEM = "/api/v1/public/redeem"

_LUA = """local n = 0
local codes = {%(codes)s}
local headers = {["Content-Type"] = "application/json"}
function request()
  n = n + 1
  local body = '{"email":"%(prefix)s' .. %(number)s .. '@example.com","code":"' .. codes[n %% #codes + 1] .. '"}'
  return wrk.format("POST", "%(path)s", headers, body)
end
%(delay)s"""
_DELAY = """function delay()
  return %d
end
"""


class BenchmarkError(Exception):
    """The benchmarks can't be run here; the message says why and what to do."""


class LoadResult(NamedTuple):
    """Result of one load.

    Attributes:
        rps: Answers per second.
        answers: Number of answers.
        refused: Number of answers that were neither 2xx nor 3xx.
        p50_ms: Median latency in milliseconds.
        cpu_s: CPU seconds of the server's processes during the load, by part; empty if they were not measured.
    """

    rps: float
    answers: int
    refused: int
    p50_ms: float
    cpu_s: Mapping[str, float] = MappingProxyType({})


def find_tool(name: str) -> str:
    """Return the path of a program; Debian installs those of PostgreSQL outside of PATH.

    Raises:
        BenchmarkError: It is not installed.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = shutil.which(name) or (str(debian[-1]) if debian else None)
    if path is None:
        raise BenchmarkError(f"{name} is not installed ({describe_installation(name)})")
    return path


def describe_installation(name: str) -> str:
    """Return how a program is installed."""
    return INSTALLATION[name]


def require_disk_space(gigabytes: int) -> None:
    """Check that the disk with temporary files has enough free space.

    Raises:
        BenchmarkError: It has not.
    """
    free = shutil.disk_usage(tempfile.gettempdir()).free / 10**9
    if free < gigabytes:
        raise BenchmarkError(f"{gigabytes} GB are needed for temporary files and {free:.0f} are free: set TMPDIR")


def has_tool(name: str) -> bool:
    """Whether a program is installed."""
    try:
        find_tool(name)
    except BenchmarkError:
        return False
    return True


def require_loopback(url: str) -> str:
    """Return the URL, if it leads to this machine.

    Raises:
        BenchmarkError: It leads to another machine, which must not get any load.
    """
    host = urlsplit(url).hostname
    if host not in LOOPBACK:
        raise BenchmarkError(f"benchmarks run on this machine only, and {host} is not it")
    return url


def require_no_servers() -> None:
    """Check that the environment names no servers, so that the run starts private ones.

    Raises:
        BenchmarkError: It names one; existing data are never used for a benchmark.
    """
    for name in ("DATABASE_URL", "REDIS_URL"):
        if os.environ.get(name):
            raise BenchmarkError(f"{name} is set: benchmarks use throw-away servers of their own, so unset it")


IDLE_S_MAX = 3.0
"""The server ends a connection that was idle for five seconds (uvicorn's timeout_keep_alive)."""


class RedeemClient:
    """Redeems one code after the other over one connection, or a new one after a pause."""

    def __init__(self, base: str) -> None:
        self._used_at = time.monotonic()
        self._connection = http.client.HTTPConnection(urlsplit(require_loopback(base)).netloc, timeout=60)

    def redeem(self, code: str, email: str, *, expect_refusal: bool = False) -> str:
        """Redeem a code and return the reservation's id.

        Raises:
            BenchmarkError: The outcome differs from `expect_refusal`.
        """
        answer = self.post(REDEEM, {"email": email, "code": code}, {}, expect_refusal=expect_refusal)
        return str(answer.get("reservation_id"))

    def post(self, path: str, body: object, headers: Mapping[str, str], *, expect_refusal: bool = False) -> Any:  # noqa: ANN401 - whatever the body holds
        """Post JSON and return the JSON of the answer.

        Raises:
            BenchmarkError: There was no answer, or the outcome differs from `expect_refusal`.
        """
        if time.monotonic() - self._used_at > IDLE_S_MAX:
            self._connection.close()  # the next request opens another
        try:
            self._connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise BenchmarkError(f"{path} was not answered: {error!r}") from error
        self._used_at = time.monotonic()
        if (response.status >= http.HTTPStatus.BAD_REQUEST) != expect_refusal:
            raise BenchmarkError(f"{path} answered with {response.status}: {answer}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class LoadRun(Protocol):
    """A load that was started."""

    def read(self) -> LoadResult:
        """Wait for its end and return the result."""


class LoadGenerator(Protocol):
    """Posts to a redeem endpoint; each request has a new email address unless `repeats` is set."""

    def start(
        self,
        base: str,
        codes: Sequence[str],
        *,
        seconds: float,
        connections: int,
        repeats: bool = False,
        pause_ms: int = 0,
    ) -> LoadRun:
        """Start to post.

        Args:
            base: URL of the server.
            codes: Used in turn.
            seconds: Duration.
            connections: Number of concurrent connections.
            repeats: Send the same email address each time.
            pause_ms: Pause between an answer and the next request of a connection.
        """


class WrkGenerator:
    """The load of https://github.com/wg/wrk: one thread, which is enough to keep an API process busy."""

    def __init__(self, folder: Path) -> None:
        self._program = find_tool("wrk")
        self._folder = folder
        self._runs = 0

    def start(
        self,
        base: str,
        codes: Sequence[str],
        *,
        seconds: float,
        connections: int,
        repeats: bool = False,
        pause_ms: int = 0,
    ) -> LoadRun:
        """Start to post."""
        self._runs += 1
        script = self._folder / f"load-{self._runs}.lua"
        listed = ",".join(f'"{code}"' for code in codes)
        delay = _DELAY % pause_ms if pause_ms else ""
        number = "1" if repeats else "n"
        script.write_text(
            _LUA % {"path": REDEEM, "prefix": f"p{self._runs}x", "codes": listed, "number": number, "delay": delay}
        )
        options = ("-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "--latency", "-s", str(script))
        command = (self._program, *options, require_loopback(base))
        return _WrkRun(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))

    def run(self, base: str, code: str, *, seconds: float, connections: int = 64) -> LoadResult:
        """Post on one code for some seconds and return the result."""
        return self.start(base, [code], seconds=seconds, connections=connections).read()


class _WrkRun:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def read(self) -> LoadResult:
        """Wait for its end and return the result.

        Raises:
            BenchmarkError: wrk printed no numbers.
        """
        text, _ = self._process.communicate(timeout=300)
        rps = re.search(r"Requests/sec:\s+([\d.]+)", text)
        answers = re.search(r"(\d+) requests in", text)
        median = re.search(r"50%\s+([\d.]+)(us|ms|s)\b", text)
        if not rps or not answers or not median:
            raise BenchmarkError(f"wrk gave no numbers: {text.strip()[:200]}")
        errors = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[median[2]]
        return LoadResult(float(rps[1]), int(answers[1]), int(errors[1]) if errors else 0, float(median[1]) * scale)


def pgbench(database_url: str, folder: Path, statement: str, *, seconds: int, clients: int = 16) -> float:
    """Measure transactions per second, each with one statement."""
    script = folder / "statement.sql"
    script.write_text(statement + ";\n")
    load = ("-n", "-f", str(script), "-c", str(clients), "-j", "2", "-T", str(seconds))
    command = (find_tool("pgbench"), *load, require_loopback(database_url))
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    rate = re.search(r"tps = ([\d.]+)", result.stdout)
    if not rate:
        raise BenchmarkError(f"pgbench failed: {result.stderr.strip()[:200]}")
    return float(rate[1])
