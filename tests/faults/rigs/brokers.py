"""Brokers on loopback, each with its data in its own folder: Valkey, Valkey with Sentinel, and RabbitMQ."""

import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from redis.sentinel import MasterNotFoundError, Sentinel

from api.cli.embedded.bounded_wait import wait_until
from api.cli.embedded.process.program import Program, build_server_environment
from api.cli.embedded.services import binaries, valkey
from api.cli.embedded.tcp_ports import HOST, find_free_port
from tests.faults.rigs.restartable_servers import RestartableServer, restartable_valkey
from tests.support.optional_packages import RABBITMQ
from tests.support.servers.private_servers import PASSWORD
from tests.support.servers.tls_front import make_authority
from tests.support.waiting import WAIT_S_MAX

MASTER = "ledger-tests"
SENTINELS = 3
"""Where Debian's package rabbitmq-server puts its versions."""


@dataclass
class RunningBroker:
    """A broker in the hands of a test.

    Attributes:
        find_primary: Returns the process that answers clients; with Sentinel once another one could take over.
        fails_over: Whether another process takes over when that one is frozen or killed.
        control: Runs one command of RabbitMQ's own tool.
        certificate: File of the authority that signed RabbitMQ's certificate, at `tls_url`.
    """

    url: str
    find_primary: Callable[[], RestartableServer]
    fails_over: bool = False
    control: Callable[..., object] = lambda *_: None
    tls_url: str = ""
    certificate: Path = Path()


@contextmanager
def running_redis(folder: Path) -> Iterator[RunningBroker]:
    with restartable_valkey(folder) as server:
        yield RunningBroker(server.url, lambda: server)


@contextmanager
def running_sentinel(folder: Path) -> Iterator[RunningBroker]:
    """A Valkey with a replica, and three Sentinels that promote it about two seconds after the primary's end."""
    folder.mkdir()
    with ExitStack() as servers:
        first, second = find_free_port(), find_free_port()
        nodes = {
            first: _start(servers, _valkey(folder / "first", first)),
            second: _start(servers, _valkey(folder / "second", second, "--replicaof", HOST, str(first))),
        }
        ports = [find_free_port() for _ in range(SENTINELS)]
        for port in ports:
            _start(servers, _sentinel(folder / f"sentinel-{port}", port, first))

        def find_primary() -> RestartableServer:
            assert wait_until(lambda: all(_primary_with_replica(port) for port in ports), WAIT_S_MAX)
            return nodes[_primary_with_replica(ports[0])]

        find_primary()
        hosts = ",".join(f"{HOST}:{port}" for port in ports)
        options = f"master_name={MASTER}&sentinel_password={PASSWORD}"
        yield RunningBroker(f"sentinel://:{PASSWORD}@{hosts}/0?{options}", find_primary, fails_over=True)


@contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RunningBroker]:
    """One node of RabbitMQ, and the port mapper that Erlang needs."""
    folder.mkdir()
    with ExitStack() as servers:
        port, tls_port, mapper_port = find_free_port(), find_free_port(), find_free_port()
        mapper = ("/usr/bin/epmd", "-port", str(mapper_port), "-address", HOST)
        env = build_server_environment()
        _start(servers, _server("", Program("epmd", mapper, env), mapper_port, folder))
        url = f"amqp://ledger:{PASSWORD}@{HOST}:{port}/%2F"
        certificate = make_authority(folder, "rabbitmq")
        program = _rabbitmq(folder, port, tls_port, mapper_port)
        node = _start(servers, _server(url, program, port, folder))
        tool = str(Path(program.command[0]).with_name("rabbitmqctl"))

        def control(*words: str) -> None:
            subprocess.run([tool, "--quiet", *words], env=dict(program.env), cwd=folder, timeout=WAIT_S_MAX, check=True)

        tls_url = url.replace("amqp://", "amqps://").replace(f":{port}/", f":{tls_port}/")
        yield RunningBroker(url, lambda: node, control=control, tls_url=tls_url, certificate=certificate)


def _start(servers: ExitStack, server: RestartableServer) -> RestartableServer:
    servers.callback(server.end, signal.SIGKILL)
    server.start()
    return server


def _server(url: str, program: Program, port: int, folder: Path) -> RestartableServer:
    return RestartableServer(url, program, lambda: _listens(port), folder / f"{program.name}.log")


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


def _valkey(folder: Path, port: int, *options: str) -> RestartableServer:
    files = valkey.prepare_valkey(folder, port, PASSWORD)
    more = ("--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0", "--appendonly", "no", *options)
    program = replace(files.program, command=(*files.program.command, *more))
    return RestartableServer(files.url, program, files.is_ready, folder / "valkey.log")


def _sentinel(folder: Path, port: int, primary_port: int) -> RestartableServer:
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"bind {HOST}\nport {port}\ndir {folder}\nrequirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n"
        f"sentinel monitor {MASTER} {HOST} {primary_port} 2\nsentinel auth-pass {MASTER} {PASSWORD}\n"
        f"sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 6000\n"
    )
    command = (str(binaries.find_valkey_server()), str(folder / "sentinel.conf"), "--sentinel")
    return _server("", Program("sentinel", command, build_server_environment()), port, folder)


def _primary_with_replica(sentinel_port: int) -> int:
    """The port of the primary, once a Sentinel knows a replica that answers and the other Sentinels; 0 before that."""
    login = {"password": PASSWORD, "socket_timeout": 1.0}
    sentinels = Sentinel([(HOST, sentinel_port)], SENTINELS - 1, login)  # type: ignore[no-untyped-call]  # redis ships this one without types
    try:
        _, port = sentinels.discover_master(MASTER)  # type: ignore[no-untyped-call]  # as above
    except MasterNotFoundError:
        return 0
    return int(port) if sentinels.discover_slaves(MASTER) else 0  # type: ignore[no-untyped-call]  # as above


def _rabbitmq(folder: Path, port: int, tls_port: int, mapper_port: int) -> Program:
    """The node: one scheduler that does not spin, without plugins, listening on loopback only."""
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {HOST}:{port}\ndefault_user = ledger\ndefault_pass = {PASSWORD}\n"
        f"listeners.ssl.1 = {HOST}:{tls_port}\nssl_options.certfile = {folder}/rabbitmq-server.pem\n"
        f"ssl_options.keyfile = {folder}/rabbitmq-server.pem\nssl_options.cacertfile = {folder}/rabbitmq.pem\n"
        "log.console = true\nlog.console.level = warning\nlog.file = false\n"
    )
    (folder / "plugins").write_text("[].\n")
    env = {
        **build_server_environment(),
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(mapper_port),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_NODENAME": "ledger@localhost",
        "RABBITMQ_DIST_PORT": str(find_free_port()),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }
    programs = sorted(RABBITMQ.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    assert programs, "install Debian's package rabbitmq-server"
    return Program("rabbitmq", (str(programs[-1]), "-noinput"), env, cwd=folder)
