"""Machines of a test: network namespaces on one bridge, each with its own address, whose links can be cut. Needs root.

The kernel removes a namespace and its links with the last process in it, and the processes that hold one end with the
test, also if it is killed.
"""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import psutil

from tests.support.waiting import WAIT_S_MAX, wait_for

T = TypeVar("T")
BRIDGE: Final = "bridge"
GATEWAY: Final = 254
"""Number of the test itself on the bridge."""
DROP_ALL: Final = ("root", "pfifo", "limit", "0")
"""A queue of no length: the kernel drops every packet, and the link stays up, as with a switch that fails."""
HOLD: Final = ("unshare", "--net", "--", "setpriv", "--pdeathsig", "KILL", "--", "sleep", "infinity")
"""A namespace exists as long as a process is in it; this one ends with the thread that began it."""
NETWORKS: Final = 250
"""Networks of runs at the same time, of 10.78.0.0/16."""


def run(*command: str, stdin: str = "") -> str:
    """Run a program to its end, with what it reads; return what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    result = subprocess.run(
        command, input=stdin, env=env, check=True, capture_output=True, text=True, timeout=WAIT_S_MAX
    )
    return result.stdout


class Namespace:
    """A network without links, but for its loopback interface."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(HOLD)
        while _namespace_of(self._holder.pid) == _namespace_of("self"):
            assert self._holder.poll() is None, "unshare cannot create a network namespace"
        self.run_inside("ip", "link", "set", "lo", "up")

    @property
    def holder(self) -> int:
        return self._holder.pid

    @property
    def entrance(self) -> tuple[str, ...]:
        """What comes before a command that is run here."""
        return ("nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--")

    def run_inside(self, *command: str, stdin: str = "") -> str:
        """Run a program here to its end, with what it reads; return what it printed."""
        return run(*self.entrance, *command, stdin=stdin)

    def call_inside(self, action: Callable[[], T]) -> T:
        """Call a function in a thread of this network. What it opens stays here."""
        with ThreadPoolExecutor(1, initializer=self._enter) as pool:
            return pool.submit(action).result()

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)  # `os.setns` came with Python 3.12
        with Path(f"/proc/{self._holder.pid}/ns/net").open("rb") as namespace:
            if libc.setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")


class Network:
    """A bridge in a separate namespace, where no firewall is, and the link of the test to it.

    Args:
        prefix: The first three numbers of all addresses, such as `10.77.0`.
        link: Name of the test's own end.

    Raises:
        subprocess.CalledProcessError: There is a link of this name.
    """

    def __init__(self, prefix: str, link: str) -> None:
        self.prefix = prefix
        self.gateway = f"{prefix}.{GATEWAY}"
        self.switch = Namespace()
        self._link = link
        self.switch.run_inside("ip", "link", "add", BRIDGE, "type", "bridge")
        self.switch.run_inside("ip", "link", "set", BRIDGE, "up")
        try:
            self.plug_in("test", link, os.getpid())
        except subprocess.CalledProcessError:
            self.switch.close()
            raise
        run("ip", "address", "add", f"{self.gateway}/24", "dev", link)
        run("ip", "link", "set", link, "up")

    @classmethod
    def open_free(cls) -> "Network":
        """Return a network that no other run on this machine has."""
        for number in range(NETWORKS):
            octet = (os.getpid() + number) % NETWORKS
            with suppress(subprocess.CalledProcessError):
                return cls(f"10.78.{octet}", f"ledger{octet}")
        raise AssertionError("every network is in use")

    def plug_in(self, port: str, link: str, process: int) -> None:
        """Connect the network of a process to the bridge: a port here, and a link there."""
        peer = ("peer", "name", link, "netns", str(process))
        self.switch.run_inside("ip", "link", "add", port, "type", "veth", *peer)
        self.switch.run_inside("ip", "link", "set", port, "master", BRIDGE, "up")

    def close(self) -> None:
        run("ip", "link", "delete", self._link)
        self.switch.close()


class Machine(Namespace):
    """A network namespace with an address on the bridge.

    Attributes:
        name: Name for reports and logs.
        address: IP address.
    """

    def __init__(self, network: Network, number: int, name: str, logs: Path) -> None:
        super().__init__()
        self.name, self.address = name, f"{network.prefix}.{number}"
        self._logs, self._switch, self._port = logs, network.switch, f"port{number}"
        network.plug_in(self._port, "eth0", self.holder)
        self.run_inside("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run_inside("ip", "link", "set", "eth0", "up")

    def spawn(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Start a server here; it writes to the log of its name."""
        with (self._logs / f"{self.name}-{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*self.entrance, *command],
                env=env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def read_log(self, name: str) -> str:
        path = self._logs / f"{self.name}-{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, *names: str) -> list[psutil.Process]:
        """Return the machine's processes, all or those with these names."""
        namespace = _namespace_of(self.holder)
        here = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                is_here = _namespace_of(process.pid) == namespace
                if is_here and process.pid != self.holder and (not names or process.name() in names):
                    here.append(process)
        return here

    def signal(self, number: signal.Signals, *names: str) -> None:
        """Send a signal to the machine's processes, all or those with these names."""
        for process in self.processes(*names):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    @contextmanager
    def cut(self, seconds: float) -> Iterator[None]:
        """Cut the link for so many seconds, and until a packet was lost; what happens inside meets the cut."""
        self.cut_incoming()
        self.cut_outgoing()
        with ThreadPoolExecutor(1) as pool:
            end = pool.submit(self._reconnect_after, seconds)
            yield
            end.result()

    def cut_incoming(self) -> None:
        self._switch.run_inside("tc", "qdisc", "replace", "dev", self._port, *DROP_ALL)

    def cut_outgoing(self) -> None:
        self.run_inside("tc", "qdisc", "replace", "dev", "eth0", *DROP_ALL)

    def count_dropped(self) -> int:
        """Return how many packets a cut has dropped until now."""
        to_machine = self._switch.run_inside("tc", "-s", "-json", "qdisc", "show", "dev", self._port)
        from_machine = self.run_inside("tc", "-s", "-json", "qdisc", "show", "dev", "eth0")
        return sum(int(queue["drops"]) for text in (to_machine, from_machine) for queue in json.loads(text))

    def reconnect(self) -> None:
        for namespace, device in ((self._switch, self._port), (self, "eth0")):
            with suppress(subprocess.CalledProcessError):
                namespace.run_inside("tc", "qdisc", "delete", "dev", device, "root")

    def _reconnect_after(self, seconds: float) -> None:
        time.sleep(seconds)
        try:
            wait_for(self.count_dropped)
        finally:
            self.reconnect()


def _namespace_of(process: int | str) -> int:
    """Return what identifies the network of a process."""
    return Path(f"/proc/{process}/ns/net").stat().st_ino
