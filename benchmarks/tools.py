"""The programs that put load on things, and a word on how to get the one that is missing."""

import http.client
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HOW_TO_GET = {
    "wrk": "Debian and Ubuntu: apt install wrk; macOS: brew install wrk",
    "pgbench": "Debian and Ubuntu: apt install postgresql-contrib; macOS: brew install postgresql",
}
REDEEM = "/api/v1/public/redeem"

_LUA = """local n = 0
local headers = {["Content-Type"] = "application/json"}
function request()
  n = n + 1
  return wrk.format("POST", "%(path)s", headers, '{"email":"%(prefix)s' .. n .. '@example.com","code":"%(code)s"}')
end
"""


class BenchmarkError(Exception):
    """The benchmarks can't be run here; the message says why and what to do."""


class Load(NamedTuple):
    """What wrk saw.

    Attributes:
        rps: Answers per second.
        answers: Answers in all.
        refused: How many were neither 2xx nor 3xx.
        p50_ms: Median of the latency.
    """

    rps: float
    answers: int
    refused: int
    p50_ms: float


def find_tool(name: str) -> str:
    """The path of a program; Debian keeps PostgreSQL's out of PATH.

    Raises:
        BenchmarkError: It is not installed.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if found is None:
        raise BenchmarkError(f"{name} is not installed ({HOW_TO_GET[name]})")
    return found


def require_loopback(url: str) -> str:
    """The same URL.

    Raises:
        BenchmarkError: It leads to another machine, which must not be put under load.
    """
    host = urlsplit(url).hostname
    if host not in LOOPBACK:
        raise BenchmarkError(f"benchmarks run on this machine only, and {host} is not it")
    return url


def require_no_servers() -> None:
    """Make sure that the run gets servers of its own.

    Raises:
        BenchmarkError: The environment names servers; nobody's data is used for a benchmark.
    """
    for name in ("DATABASE_URL", "REDIS_URL"):
        if os.environ.get(name):
            raise BenchmarkError(f"{name} is set: benchmarks use throw-away servers of their own, so unset it")


class Client:
    """Redeems one after the other over one connection."""

    def __init__(self, base: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(require_loopback(base)).netloc, timeout=30)

    def redeem(self, code: str, email: str) -> str:
        """Redeem a code; the reservation's id.

        Raises:
            BenchmarkError: It was refused.
        """
        body = json.dumps({"email": email, "code": code})
        self._connection.request("POST", REDEEM, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status not in {http.HTTPStatus.OK, http.HTTPStatus.ACCEPTED}:
            raise BenchmarkError(f"a redeem was answered with {response.status}: {answer.get('code')}")
        return str(answer["reservation_id"])

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


class Wrk:
    """HTTP load with a new e-mail in each request."""

    def __init__(self, folder: Path) -> None:
        self._program = find_tool("wrk")
        self._folder = folder
        self._runs = 0

    def start(self, base: str, code: str, *, seconds: int, connections: int = 64) -> "subprocess.Popen[str]":
        """Begin to post; `read` waits for the end."""
        self._runs += 1
        script = self._folder / f"load-{self._runs}.lua"
        script.write_text(_LUA % {"path": REDEEM, "prefix": f"p{self._runs}x", "code": code})
        options = ("-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(script))
        command = (self._program, *options, require_loopback(base))
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def read(self, running: "subprocess.Popen[str]") -> Load:
        """What came of it.

        Raises:
            BenchmarkError: wrk reached nothing.
        """
        text, _ = running.communicate(timeout=300)
        rps = re.search(r"Requests/sec:\s+([\d.]+)", text)
        answers = re.search(r"(\d+) requests in", text)
        median = re.search(r"50%\s+([\d.]+)(us|ms|s)\b", text)
        if not rps or not answers or not median:
            raise BenchmarkError(f"wrk gave no numbers: {text.strip()[:200]}")
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[median[2]]
        return Load(float(rps[1]), int(answers[1]), int(bad[1]) if bad else 0, float(median[1]) * scale)

    def run(self, base: str, code: str, *, seconds: int, connections: int = 64) -> Load:
        """Post for some seconds and say what came of it."""
        return self.read(self.start(base, code, seconds=seconds, connections=connections))


def pgbench(database_url: str, folder: Path, statement: str, *, seconds: int, clients: int = 16) -> float:
    """Transactions per second of one statement, each a transaction of its own."""
    script = folder / "statement.sql"
    script.write_text(statement + ";\n")
    load = ("-n", "-f", str(script), "-c", str(clients), "-j", "2", "-T", str(seconds))
    command = (find_tool("pgbench"), *load, require_loopback(database_url))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if not found:
        raise BenchmarkError(f"pgbench failed: {done.stderr.strip()[:200]}")
    return float(found[1])
