"""Machines of a run: network namespaces on one bridge, each with its own address, whose links can be cut."""

import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from tests.faults.failover.enclosure import find_program, run

BRIDGE: Final = "ledger0"
GATEWAY: Final = "10.77.0.254"
"""Address of the run itself: load, HAProxy, backends, workers and broker."""
DROP_ALL: Final = ("root", "pfifo", "limit", "0")
"""A queue of no length: the kernel drops every packet, and the link stays up, as with a switch that fails."""


def build_bridge() -> None:
    """Bring up loopback and the bridge."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{GATEWAY}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


class Machine:
    """A network namespace with an address on the bridge.

    Attributes:
        name: Name for reports.
        address: IP address.
    """

    def __init__(self, number: int, logs: Path) -> None:
        self.name, self.address = f"node{number}", f"10.77.0.{number}"
        self._logs = logs
        self._link = f"ledger{number}"
        # The namespace exists as long as a process is in it.
        self._holder = subprocess.Popen([find_program("unshare"), "--net", "--", "sleep", "infinity"])
        self._wait_for_namespace()
        run("ip", "link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", str(self._holder.pid))
        run("ip", "link", "set", self._link, "master", BRIDGE, "up")
        self.run_inside("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            self.run_inside("ip", "link", "set", device, "up")

    def spawn(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> None:
        """Start a server here; it writes to the log of its name."""
        with (self._logs / f"{self.name}-{name}.log").open("ab") as log:
            subprocess.Popen(
                [*self._entrance, *command],
                env=env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run_inside(self, *command: str, stdin: str = "") -> str:
        """Run a program here to its end, with what it reads; return what it printed."""
        return run(*self._entrance, *command, stdin=stdin)

    def read_log(self, name: str) -> str:
        """Return the whole log of a server."""
        path = self._logs / f"{self.name}-{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, *names: str) -> list[psutil.Process]:
        """Return the machine's processes, all or those with these names."""
        namespace = _namespace_of(self._holder.pid)
        here = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                is_here = _namespace_of(process.pid) == namespace
                if is_here and process.pid != self._holder.pid and (not names or process.name() in names):
                    here.append(process)
        return here

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to the machine's processes, all or those with these names."""
        for process in self.processes(*names):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def cut_incoming(self) -> None:
        """Drop every packet to the machine."""
        run("tc", "qdisc", "replace", "dev", self._link, *DROP_ALL)

    def cut_outgoing(self) -> None:
        """Drop every packet from the machine."""
        self.run_inside("tc", "qdisc", "replace", "dev", "eth0", *DROP_ALL)

    def reconnect(self) -> None:
        """Undo every cut."""
        for delete in (run, self.run_inside):
            _suppress_failure(delete, "tc", "qdisc", "delete", "dev", self._link if delete is run else "eth0", "root")

    @property
    def _entrance(self) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--")

    def _wait_for_namespace(self) -> None:
        while _namespace_of(self._holder.pid) == _namespace_of("self"):
            assert self._holder.poll() is None, "unshare cannot create a network namespace"


def _namespace_of(process: int | str) -> int:
    """Return what identifies the network of a process."""
    return Path(f"/proc/{process}/ns/net").stat().st_ino


def _suppress_failure(action: Callable[..., object], *command: str) -> None:
    with suppress(subprocess.CalledProcessError):
        action(*command)
