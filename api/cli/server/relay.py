"""`ledger relay`: pass the log on to Kafka or HTTP. `ledger relays`: how far each relay is."""

import base64
import binascii
import hashlib
import os
import random
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlsplit

import typer

from api.cli.arguments import number_parser
from api.cli.command_index import leaves_no_record
from api.cli.context import OpenLedger, Session
from api.cli.printing import JsonFlag, format_timestamp, print_json
from api.schemas.events.event_view import as_cloud_event
from domain.values.number_bounds import POSITIONS
from domain.webhooks.cloud_events import CloudEventSource
from domain.webhooks.signatures import PREFIX
from domain.webhooks.target_url import Target, TargetError
from projections.config.secret_masking import mask_setting
from projections.config.settings import LedgerSettings
from projections.config.url_validation import LOOPBACK_SOURCE, SET_PUBLIC_URL, is_loopback_url
from projections.read_models.event_feed import EventFeed
from projections.repositories.audit_log import describe_values
from projections.telemetry.log_setup import configure_logs
from projections.terminal.exit_codes import ExitCode
from projections.terminal.tables import show, table
from projections.terminal.text import say, say_error
from projections.vault.random_source import RANDOM
from projections.work_queue.relays import (
    AFTER_A_RESTORE,
    COUNTED_MAX,
    OtherTargetError,
    RelayLease,
    delete_relay,
    list_relays,
)
from workers.http_client.client import PinnedHttpClient
from workers.relay.http_sink import HttpSink
from workers.relay.kafka_sink import KafkaSink, KafkaUrl, read_properties
from workers.relay.relay import LEASE_MARGIN_S, Relay, RelayStoppedError
from workers.relay.sink import Sink, SinkRefusedError

NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,60}")
TO: Final = "--to"
SECRETS_MAX: Final = 8
"""Most secrets that sign a message: receivers read no more signatures."""


def register(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(relay)
    app.command()(relays)


@leaves_no_record("it runs until it is stopped; at its start it records a relay that is new or moved")
def relay(
    context: typer.Context,
    to: Annotated[
        str | None, typer.Option(help="Target: kafka://HOST:PORT/TOPIC or an https URL; default: LEDGER_RELAY_TO.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the relay; default: the topic or the host.")] = None,
    start: Annotated[
        int | None,
        typer.Option(
            "--from", parser=number_parser(POSITIONS), help="Position to continue after; 0: from the beginning."
        ),
    ] = None,
    kafka_config: Annotated[
        Path | None, typer.Option(help="File with properties of the Kafka client: TLS, SASL, password.")
    ] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="File with secrets (whsec_...), one a line, that sign requests.")
    ] = None,
) -> int:
    """Send every event to Kafka or HTTP, in order, until stopped.

    The events are those of GET /api/v1/events with format=cloudevents. A relay continues where it was: the database
    keeps the position up to which the target has acknowledged events. An end at any time repeats events and loses none.
    Of several processes with the same name and target, one relays and the others stand by.

    Secrets do not belong on the command line. Each file may be named by a setting too: LEDGER_RELAY_KAFKA_CONFIG,
    LEDGER_RELAY_CA_FILE, LEDGER_RELAY_SECRET_FILE.

    Example: `ledger relay --to kafka://broker1:9092,broker2:9092/redemptions --kafka-config kafka.properties`
    """
    try:
        with Session(context.obj).open_ledger() as ledger:
            url, named_by = _choose_url(to, ledger.settings)
            chosen = _check_name(name or _default_name(url))
            target = _open_target(url, named_by, ledger, kafka_config, secret_file)
            lease = RelayLease(
                ledger.storage,
                name=chosen,
                target=target.shown,
                target_id=hashlib.sha256(target.identity.encode()).hexdigest(),
                holder=f"{socket.gethostname()}:{os.getpid()}",
                holder_id=RANDOM.draw_uuid(),
                lease_s=target.sink.longest_send_s + LEASE_MARGIN_S,
            )
            source = CloudEventSource.feed_of(ledger.settings.public_url)
            if is_loopback_url(ledger.settings.public_url):
                say_error(f"the source of the CloudEvents is {source.url}, {LOOPBACK_SOURCE}: {SET_PUBLIC_URL}")
            chance = random.SystemRandom().random
            describe = partial(as_cloud_event, source=source)
            feed = EventFeed(ledger.storage)
            if (problem := _begin(ledger, lease, feed, chosen, target, start)) is not None:
                say_error(problem)
                return ExitCode.REFUSED
            with _stop_on_signals() as stop:
                Relay(chosen, feed, lease, target.sink, describe, chance).run(stop)
    except (RelayStoppedError, SinkRefusedError) as error:
        say_error(str(error))
        return ExitCode.SERVICE
    return ExitCode.OK


def _begin(
    ledger: OpenLedger, lease: RelayLease, feed: EventFeed, name: str, target: "_Destination", start: int | None
) -> str | None:
    """Create, move or continue the relay; return what prevents it. The audit log says if it did not just continue."""
    if start is not None and start > (newest := feed.find_newest_position()):
        return f"position {start} is after the end of the log, which is {newest}"
    is_moved = start is not None or lease.is_new()
    try:
        position = lease.begin(start)
    except OtherTargetError as error:
        if not target.sink.is_same(error.target):
            return (
                f"relay {name} sends to {error.target}, up to position {error.position}, and this is another URL:"
                " choose another --name, or say with --from after which position this target continues"
            )
        start = error.position
        position = lease.begin(start)
    if position is None and start is not None:
        return f"another process relays {name}: stop it first, then start this one again"
    if position is not None and is_moved:
        ledger.open_audit_log().record(
            "moved_relay", None, describe_values(name=name, url=target.shown, position=position)
        )
    return None


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Write logs from now on, and give what SIGTERM and Ctrl-C set."""
    configure_logs()
    stop = threading.Event()

    def request_stop(*_: object) -> None:
        # In this thread, `set` would wait without end for a lock that an interrupted `wait` holds.
        threading.Thread(target=stop.set).start()

    former = {number: signal.signal(number, request_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def relays(
    context: typer.Context,
    remove: Annotated[str | None, typer.Option(help="Name of a relay to remove, with its position.")] = None,
    json: JsonFlag = False,
) -> int:
    """List the relays, and how far each is behind the log.

    Remove one that is not used any more, so that its metrics and its alert end.
    """
    with Session(context.obj).open_ledger() as ledger:
        if remove is not None:
            if not delete_relay(ledger.storage, remove):
                say_error(f"relay {remove!a} was not removed: there is none, or a process relays; stop it first")
                return ExitCode.REFUSED
            ledger.open_audit_log().record("removed_relay", None, describe_values(name=remove))
        rows = list_relays(ledger.storage)
    if json:
        print_json([row._asdict() for row in rows])
    elif not rows:
        say("there are no relays")
    else:
        names = ("relay", "target", "position", "behind", "relayed (UTC)", "process", "last error")
        listed = table(*names, fixed=names[:1])
        for row in rows:
            behind = f"{row.behind:,}{' or more' if row.behind == COUNTED_MAX else ''}"
            if row.is_beyond:
                behind = "after the end of the log"
            relayed_at = format_timestamp(row.relayed_at) if row.relayed_at else ""
            cells = (row.target, f"{row.position}", behind, relayed_at, row.holder or "none", row.last_error or "")
            listed.add_row(row.name, *cells)
        show(listed)
        if any(row.is_beyond for row in rows):
            say(f"a relay whose position is after the end of the log passes on nothing: follow {AFTER_A_RESTORE}")
    return ExitCode.OK


def _choose_url(to: str | None, settings: LedgerSettings) -> tuple[str, str]:
    """Return the URL of the target, and the name of what it comes from."""
    if to is not None:
        return to, TO
    if settings.relay_to is None:
        raise typer.BadParameter("name a target, or set LEDGER_RELAY_TO", param_hint=TO)
    return settings.relay_to.get_secret_value(), "LEDGER_RELAY_TO"


class _Destination(NamedTuple):
    """A target: what operators may see of it, what tells it from others, and how it is written to."""

    shown: str
    identity: str
    sink: Sink


def _open_target(
    url: str, named_by: str, ledger: OpenLedger, kafka_config: Path | None, secret_file: Path | None
) -> _Destination:
    """Read the URL and the files.

    Raises:
        typer.BadParameter: The URL or a file is malformed.
        SinkRefusedError: The target cannot be used.
    """
    settings = ledger.settings
    target = _parse_url(url, named_by, settings)
    if isinstance(target, KafkaUrl):
        if secret_file is not None:
            raise typer.BadParameter("signs HTTP requests only", param_hint="--secret-file")
        sink = KafkaSink(target, _read_kafka_config(target, kafka_config, settings))
        return _Destination(str(target), str(target), sink)
    if kafka_config is not None:
        raise typer.BadParameter("is for Kafka only", param_hint="--kafka-config")
    timeout_s = settings.webhook_timeout_s
    http = PinnedHttpClient(settings.webhook_networks, timeout_s)
    clock = ledger.storage.recorder.clock
    secrets = _read_secrets(secret_file, settings)
    # The path and the query of a URL may hold a secret of the receiver.
    shown = f"{target.scheme}://{target.authority}"
    return _Destination(shown, url, HttpSink(http, url, secrets, timeout_s, clock.now))


def _parse_url(url: str, named_by: str, settings: LedgerSettings) -> KafkaUrl | Target:
    try:
        is_kafka = url.startswith("kafka:")
        target = KafkaUrl.parse(url) if is_kafka else Target.parse(url, settings.webhook_networks)
    except TargetError as error:
        problem = {
            "scheme": "expected kafka:// or https://; http only to networks of LEDGER_WEBHOOK_ALLOW_PRIVATE",
            "private": "not an address of the public internet: permit its network by LEDGER_WEBHOOK_ALLOW_PRIVATE",
            "login": "user and password are not permitted in it",
        }
        raise typer.BadParameter(problem.get(error.fault, "not a valid URL"), param_hint=named_by) from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=named_by) from error
    if named_by == TO and ("?" in url or mask_setting(None, url) != url):
        raise typer.BadParameter(
            "other users of this machine can read a password or token in it: set LEDGER_RELAY_TO to this URL instead,"
            " in the environment or the file of LEDGER_SECRETS_FILE",
            param_hint=named_by,
        )
    return target


def _read_kafka_config(url: KafkaUrl, option: Path | None, settings: LedgerSettings) -> dict[str, str]:
    """Return the properties that the URL, the command line and the settings give; those of the file come last."""
    authorities = settings.relay_ca_file
    trusted = {} if authorities is None else {"security.protocol": "SSL", "ssl.ca.location": str(authorities)}
    properties = {**trusted, **url.login}
    path, named_by = (
        (option, "--kafka-config") if option else (settings.relay_kafka_config, "LEDGER_RELAY_KAFKA_CONFIG")
    )
    try:
        return properties if path is None else {**properties, **read_properties(path)}
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {path}", param_hint=named_by) from error
    except ValueError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint=named_by) from error


def _read_secrets(option: Path | None, settings: LedgerSettings) -> list[str]:
    """Return the secrets in the file that the command line or the settings name, the newest first."""
    path, named_by = (option, "--secret-file") if option else (settings.relay_secret_file, "LEDGER_RELAY_SECRET_FILE")
    if path is None:
        return []
    try:
        secrets = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {path}", param_hint=named_by) from error
    if not 0 < len(secrets) <= SECRETS_MAX or not all(_is_secret(secret) for secret in secrets):
        problem = f"{path} needs 1 to {SECRETS_MAX} lines with {PREFIX} and base64"
        raise typer.BadParameter(problem, param_hint=named_by)
    return secrets


def _is_secret(text: str) -> bool:
    try:
        return text.startswith(PREFIX) and len(base64.b64decode(text.removeprefix(PREFIX), validate=True)) > 0
    except binascii.Error:
        return False


def _default_name(url: str) -> str:
    """Return the topic or the host of a target."""
    try:
        parts = urlsplit(url)
        return (parts.path.removeprefix("/") if parts.scheme == "kafka" else parts.hostname) or ""
    except ValueError:
        return ""


def _check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        problem = "name the relay: 1 to 60 letters, digits, full stops, hyphens or underscores"
        raise typer.BadParameter(problem, param_hint="--name")
    return name
