"""`ledger relay` and `ledger relays`: what they send, say and refuse."""

import os
import signal
import subprocess
import sys
import threading
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch
from uuid import uuid4

import orjson
import pytest
from standardwebhooks import Webhook

from api.cli.server import relay as module
from domain.webhooks.signatures import secret_text
from projections.terminal.exit_codes import ExitCode
from projections.work_queue.relays import RelayLease
from tests.support.clients.terminal import Terminal
from tests.support.ledger.ledger_bench import LedgerBench
from tests.support.ledger.settings import NO_STREAM, environment, settings_for
from tests.support.servers.webhook_receiver import WebhookReceiver
from tests.support.waiting import WAIT_S_MAX, wait_for
from workers.relay.relay import Relay

SECRET = secret_text(b"s" * 32)
COMMAND = (sys.executable, "-c", "from api.cli.entry import main; main()", "relay")


@pytest.mark.night(of="relay")
def test_relay_sends_signed_batches_until_it_is_stopped(own_bench: LedgerBench, tmp_path: Path) -> None:
    own_bench.issue()
    (tmp_path / "secrets").write_text(f"{SECRET}\n", "utf-8")
    variables = {
        **os.environ,
        **environment(settings_for(own_bench.database_url), tmp_path, NO_STREAM),
        "LEDGER_WEBHOOK_ALLOW_PRIVATE": "127.0.0.0/8",
        "LEDGER_PUBLIC_URL": "https://codes.example.com",
    }
    with WebhookReceiver() as server:
        variables["LEDGER_RELAY_TO"] = f"{server.url}&token=hunter2"
        variables["LEDGER_RELAY_SECRET_FILE"] = str(tmp_path / "secrets")
        with subprocess.Popen(COMMAND, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            wait_for(lambda: server.received)
            own_bench.issue()
            wait_for(lambda: len(server.received) == 2)
            wait_for(lambda: position(own_bench) == 2)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=WAIT_S_MAX)

    assert (process.returncode, output) == (0, b"")
    batches = [Webhook(SECRET).verify(request.body, request.headers) for request in server.received]
    assert [[event["id"] for event in batch] for batch in batches] == [["1"], ["2"]]
    row = own_bench.rows("SELECT name, target, position, leased_until <= clock_timestamp() FROM relays")
    assert row == [("127.0.0.1", f"http://127.0.0.1:{server.port}", 2, True)]


def test_signal_does_not_wait_for_what_it_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop waits for the event whose lock setting it needs, so another thread sets it."""
    setters: list[threading.Thread] = []

    class Watched(threading.Event):
        def set(self) -> None:
            setters.append(threading.current_thread())
            super().set()

    monkeypatch.setattr(module, "configure_logs", lambda: None)
    monkeypatch.setattr(module, "threading", SimpleNamespace(Event=Watched, Thread=threading.Thread))
    with module._stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait(WAIT_S_MAX)

    assert len(setters) == 1
    assert setters[0] is not threading.main_thread()


def position(bench: LedgerBench) -> int:
    ((number,),) = bench.rows("SELECT position FROM relays")
    return int(number)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["ftp://example.com/x"], "expected kafka:// or https://"),
        (["http://example.com/x"], "http only to networks of LEDGER_WEBHOOK_ALLOW_PRIVATE"),
        (["https://127.0.0.1/x"], "not an address of the public internet"),
        (["https://ann:pw@example.com/x"], "user and password are not permitted in it"),
        (["kafka://ann:pw@broker/x"], "set LEDGER_RELAY_TO to this URL instead"),
        (["https://example.com/x?token=pw"], "set LEDGER_RELAY_TO to this URL instead"),
        (["https://example.com/x?sig=pw"], "set LEDGER_RELAY_TO to this URL instead"),
        (["kafka://broker", "--name", "x"], "expected kafka://HOST:PORT,HOST:PORT/TOPIC"),
        (["kafka://broker"], "name the relay"),
        (["https://example.com/x", "--name", "a b"], "name the relay"),
        (["https://example.com/x", "--from", "-1"], "--from"),
        (["https://example.com/x", "--kafka-config", "x"], "is for Kafka only"),
        (["kafka://broker/x", "--secret-file", "x"], "signs HTTP requests only"),
        (["kafka://broker/x", "--kafka-config", "/nowhere"], "cannot read /nowhere"),
        (["https://example.com/x", "--secret-file", "/nowhere"], "cannot read /nowhere"),
    ],
)
def test_unusable_arguments_are_refused(terminal: Terminal, arguments: list[str], problem: str) -> None:
    """Before anything is sent; a password is not repeated."""
    result = terminal.ledger("relay", "--to", *arguments)

    assert (result.status, result.out) == (ExitCode.USAGE, "")
    assert problem in result.err
    assert "pw" not in result.err


@pytest.mark.parametrize(
    "text", ["", "whsec_!", "secret", f"{SECRET}\n" * 9], ids=["empty", "base64", "prefix", "nine"]
)
def test_unusable_secrets_are_refused(terminal: Terminal, tmp_path: Path, text: str) -> None:
    (path := tmp_path / "s").write_text(text, "utf-8")
    result = terminal.ledger("relay", "--to", "https://example.com/x", "--secret-file", str(path))

    assert result.status == ExitCode.USAGE
    assert "needs 1 to 8 lines with whsec_ and base64" in result.err
    assert SECRET not in result.err


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "name a target, or set LEDGER_RELAY_TO"),
        ({"TO": "kafka://ann:pw@broker"}, "expected kafka://HOST:PORT,HOST:PORT/TOPIC"),
        ({"TO": "https://ann:pw@example.com"}, "LEDGER_RELAY_TO: user and password are not permitted in it"),
        ({"TO": "https://[ann:pw@example.com"}, "LEDGER_RELAY_TO: not a valid URL"),
        ({"TO": "kafka://ann:pw@b/x", "KAFKA_CONFIG": "/nowhere"}, "LEDGER_RELAY_KAFKA_CONFIG: cannot read /nowhere"),
        ({"TO": "https://example.com/pw", "SECRET_FILE": "/nowhere"}, "LEDGER_RELAY_SECRET_FILE: cannot read /nowhere"),
    ],
    ids=["none", "topic", "login", "form", "properties", "secrets"],
)
def test_unusable_settings_are_refused_by_name(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], problem: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"LEDGER_RELAY_{name}", value)
    result = terminal.ledger("relay", "--name", "r")

    assert (result.status, result.out) == (ExitCode.USAGE, "")
    assert problem in result.err
    assert "pw" not in result.err


def test_kafka_settings_make_the_client(
    terminal: Terminal, own_bench: LedgerBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file comes after the login of the URL; a new password is the same target."""
    (file := tmp_path / "p").write_text("sasl.mechanism=PLAIN\n", "utf-8")
    monkeypatch.setattr(Relay, "run", lambda relay, _: relay.lease.release())
    monkeypatch.setenv("LEDGER_RELAY_CA_FILE", "/ca.pem")
    monkeypatch.setenv("LEDGER_RELAY_KAFKA_CONFIG", str(file))
    for password in ("pw1", "pw2"):
        monkeypatch.setenv("LEDGER_RELAY_TO", f"kafka://ann:{password}@broker:9093/x")
        with patch.object(module, "KafkaSink") as sink:
            sink.return_value.longest_send_s = 1.0
            assert terminal.ledger("relay").status == 0

    assert sink.call_args.args[1] == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": "/ca.pem",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": "pw2",
    }
    assert own_bench.rows("SELECT name, target FROM relays") == [("x", "kafka://broker:9093/x")]


def test_property_that_the_relay_sets_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    (path := tmp_path / "p").write_text("acks=0", "utf-8")
    result = terminal.ledger("relay", "--to", "kafka://broker/x", "--kafka-config", str(path))

    assert (result.status, f"{path}: line 1: the relay sets acks itself" in result.err) == (ExitCode.USAGE, True)


def test_relay_says_at_its_start_that_its_source_could_be_any_ledger(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is refused afterwards, so that nothing is sent."""
    arguments = ("relay", "--to", "https://example.com/x", "--from", "99")
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "http://localhost:8000")
    loopback = terminal.ledger(*arguments)
    monkeypatch.setenv("LEDGER_PUBLIC_URL", "https://redeem.example.com")
    named = terminal.ledger(*arguments)

    assert (loopback.status, named.status) == (ExitCode.REFUSED, ExitCode.REFUSED)
    assert "http://localhost:8000/api/v1/events, which could be any ledger: set LEDGER_PUBLIC_URL" in loopback.err
    assert "LEDGER_PUBLIC_URL" not in named.err


def lease_of(bench: LedgerBench) -> RelayLease:
    lease = RelayLease(
        bench.storage,
        name="orders",
        target="kafka://b/orders",
        target_id="t",
        holder="h:1",
        holder_id=uuid4(),
        lease_s=20.0,
    )
    lease.begin()
    return lease


def test_relay_that_would_skip_or_repeat_events_is_refused(terminal: Terminal, own_bench: LedgerBench) -> None:
    own_bench.issue()
    lease = lease_of(own_bench)
    answers = [
        terminal.ledger("relay", "--to", "https://example.com/x", "--name", "orders", *words)
        for words in ([], ["--from", "2"], ["--from", "0"])
    ]

    assert {answer.status for answer in answers} == {ExitCode.REFUSED}
    assert "relay orders sends to kafka://b/orders, up to position 0" in answers[0].err
    assert "position 2 is after the end of the log, which is 1" in answers[1].err
    assert "another process relays orders: stop it first" in answers[2].err
    assert lease.hold() == 0


@pytest.mark.parametrize("is_held", [False, True], ids=["free", "held"])
def test_other_brokers_of_the_same_cluster_continue(
    terminal: Terminal, own_bench: LedgerBench, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    own_bench.issue()
    lease = lease_of(own_bench)
    lease.advance(0, 1)
    if not is_held:
        lease.release()
    monkeypatch.setattr(Relay, "run", lambda relay, _: relay.lease.release())
    with patch.object(module, "KafkaSink") as sink:
        sink.return_value.longest_send_s = 1.0
        result = terminal.ledger("relay", "--to", "kafka://b2,b/orders")

    sink.return_value.is_same.assert_called_once_with("kafka://b/orders")
    target = "kafka://b/orders" if is_held else "kafka://b2,b/orders"
    assert own_bench.rows("SELECT target, position FROM relays") == [(target, 1)]
    assert (result.status == ExitCode.REFUSED, "stop it first" in result.err) == (is_held, is_held)
    assert own_bench.rows("SELECT act FROM audit") == ([] if is_held else [("moved_relay",)])


def test_new_and_moved_relays_are_in_the_audit_log(
    terminal: Terminal, own_bench: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that continues is not."""
    own_bench.issue()
    monkeypatch.setattr(Relay, "run", lambda relay, _: relay.lease.release())
    for words in ([], [], ["--from", "1"]):
        assert terminal.ledger("relay", "--to", "https://example.com/x", *words).status == 0

    assert own_bench.rows("SELECT act FROM audit ORDER BY audit_id") == [("moved_relay",)] * 2
    assert position(own_bench) == 1


def test_relays_are_listed(terminal: Terminal, own_bench: LedgerBench) -> None:
    assert terminal.ledger("relays").out == "there are no relays\n"
    own_bench.issue()
    lease_of(own_bench).record_failure("no answer in time")
    listed = terminal.ledger("relays")
    (row,) = orjson.loads(terminal.ledger("relays", "--json").out)

    assert listed.status == 0
    assert all(text in listed.out for text in ("orders", "kafka://b/orders", "h:1", "no answer in time"))
    assert (row["name"], row["position"], row["behind"], row["failures"]) == ("orders", 0, 1, 1)
    assert (row["relayed_at"], row["holder"]) == (None, "h:1")


def test_position_after_the_log_is_shown_and_refused(terminal: Terminal, own_bench: LedgerBench) -> None:
    """The relay would leave out what the log gets up to there."""
    own_bench.issue()
    lease = lease_of(own_bench)
    lease.advance(0, 5)
    lease.release()
    own_bench.rows("UPDATE relays SET target_id = %s RETURNING 1", sha256(b"https://example.com/x").hexdigest())
    refused = terminal.ledger("relay", "--to", "https://example.com/x", "--name", "orders")
    listed = terminal.ledger("relays").out

    assert refused.status == ExitCode.SERVICE
    assert "the position 5 of relay orders is after the end of the log, 1: " in refused.err
    assert "after the end of the log passes on nothing: follow docs/how-to/relay-events.md#after" in listed
    assert orjson.loads(terminal.ledger("relays", "--json").out)[0]["is_beyond"]
    assert own_bench.rows("SELECT leased_until <= clock_timestamp() FROM relays") == [(True,)]


def test_relay_that_no_process_holds_is_removed(terminal: Terminal, own_bench: LedgerBench) -> None:
    """One that is held is not: it would begin again."""
    lease = lease_of(own_bench)
    refused = terminal.ledger("relays", "--remove", "orders")
    assert (refused.status, "'orders' was not removed" in refused.err) == (ExitCode.REFUSED, True)

    lease.release()

    assert terminal.ledger("relays", "--remove", "orders").out == "there are no relays\n"
