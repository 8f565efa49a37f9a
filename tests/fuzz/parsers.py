"""What reads texts from outside: each parser with a few good inputs, and what may come of any input at all."""

import csv
import io
import ipaddress
import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unicodedata import category
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.adapt import PyFormat, Transformer
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from api.cli.arguments import parse_email, parse_group, parse_reservation_id, parse_time_option
from api.code_import.faults import RejectedRecordError, UnusableFileError
from api.code_import.file_reader import Format, Records
from api.code_import.row_parser import CODE_FILE, parse_row
from api.errors import ApplicationError
from api.http.pagination import format_cursor, parse_cursor
from api.http.trusted_proxies import behind_proxies
from api.i18n.catalogs import pick_language
from api.rate_limits.client_network import client_networks
from api.schemas.code_terms import TERMS
from api.schemas.csv_cells import FORMULA, csv_line, without_mark
from api.schemas.groups import is_redirect_target
from api.schemas.parsing import InvalidInputError, parse_term
from api.schemas.resources import RedeemRequest
from api.v1.webhooks.channel_callbacks import Callback
from api.web.public.mailbox import link_urls
from api.web.support.search_page import _explain_miss
from domain.ports import Rejected
from domain.values.identifiers import (
    EmailAddress,
    MalformedCodeError,
    MalformedEmailError,
    candidate_codes,
    format_code,
    normalize_code,
)
from domain.values.link_token import DeliveryRef, correction_token, link_token, read_correction_token, read_token
from domain.values.mistyped_domains import suggest_address
from domain.values.pasted_codes import CANDIDATES_MAX, list_pasted_codes
from domain.webhooks.signatures import SignatureHeaders, secret_text, sign, verification_error
from domain.webhooks.target_url import Target, TargetError, may_reach
from projections.privacy.erasure import ErasedIdsFile, ErasedIdsFileError
from projections.telemetry.log_setup import redact
from projections.transfer.checksummed_lines import DamagedFileError, LineWriter, read_lines
from projections.transparency_log.checkpoints import format_signed_text
from projections.transparency_log.proof_check import ReceiptError, check_proof
from projections.transparency_log.receipts import FORMAT
from projections.transparency_log.tile_log import hash_event
from projections.vault.key_ring import KeyRing, KeyRingError
from tests.fuzz.mail_parsers import read_forged_request, read_message, read_signed_event
from tests.fuzz.mutator import Mutator
from tests.support.ledger.code_template import make_template
from workers.channels.smtp.reply_codes import refused_message
from workers.channels.smtp.server_url import SmtpServerUrl
from workers.sending.message_factory import parse_reservation_ids

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
LINES = {"Cc", "Zl", "Zp"}
"""Categories of characters that end a line, or do worse."""
ID = UUID("6f1d2c3b-4a59-4877-9a0b-c1d2e3f40516")


Parser = Callable[[Mutator], None]
"""Makes an input, gives it to a parser, and asserts what must hold of any answer. Its name is that of the parser."""


def typed_code(mutator: Mutator) -> None:
    typed = mutator.text(
        ("MCM1-PRY5-KC9W-VE1A-S4PD", "OLD2024", "mcm1 pry5 kc9w ve1a s4pd", "优惠码-1", "Ａ１-Ｂ２", "Code: AB-1")
    )
    assert 1 <= len(list_pasted_codes(typed)) <= CANDIDATES_MAX + 1
    with suppress(MalformedCodeError):
        normal = normalize_code(typed)
        assert normal == normalize_code(normal), "a normal form has another normal form"
        assert normalize_code(format_code(normal)) == normal, "the form that is shown is another code"
        assert normal in candidate_codes(normal)


def typed_email(mutator: Mutator) -> None:
    typed = mutator.text(
        ("li.wei@example.com", "a+b@sub.example.org", "用户@例子.中国", "x@bücher.example", "A@GMIAL.COM")
    )
    with suppress(MalformedEmailError):
        address = EmailAddress.parse(typed)
        if (suggested := suggest_address(typed)) is not None:
            assert suggest_address(suggested) is None, "a suggestion is asked about again"
        assert EmailAddress.parse(address.normal).normal == address.normal, "a normal form has another normal form"
        assert EmailAddress.parse(address.typed) == address
        assert not {category(character) for character in address.typed} & LINES, "an address makes a header of its own"


def redeem_body(mutator: Mutator) -> None:
    document = '{"email":"li.wei@example.com","code":"MCM1","again":"6f1d2c3b-4a59-4877-9a0b-c1d2e3f40516"}'
    with suppress(ValidationError):
        RedeemRequest.model_validate_json(mutator.octets((document, '{"email":"a","code":"b","again":null}')))


def csv_cell(mutator: Mutator) -> None:
    cell = mutator.text(("=1+1", "plain", "'=x", "@SUM(A1)", '"quoted", and more'))
    line = csv_line([cell])
    (read,) = next(csv.reader(io.StringIO(line, newline="")))
    assert not read.startswith(FORMULA), "a cell is a formula"
    if not cell.startswith("'"):
        assert without_mark(f"'{cell}" if cell.startswith(FORMULA) else cell) == cell


def cursor(mutator: Mutator) -> None:
    with suppress(ApplicationError):
        timestamp, _ = parse_cursor(
            mutator.text((format_cursor(AT, ID), b64encode(b"0001-01-01T00:00:00+14:00|" + b"0" * 32).decode()))
        )
        assert timestamp.tzinfo is not None
        Transformer().get_dumper(timestamp, PyFormat.AUTO).dump(timestamp)  # as the driver does


def link_of_email(mutator: Mutator) -> None:
    good = link_token(b"secret", DeliveryRef(ID, 1))
    token = mutator.text((good,))
    reservation = read_token(b"secret", token)
    assert reservation is None or reservation == DeliveryRef(ID, 1), "a link was forged"


def correction_link(mutator: Mutator) -> None:
    token = mutator.text((correction_token(b"secret", ID), link_token(b"secret", DeliveryRef(ID, 1))))
    assert read_correction_token(b"secret", token) in {None, ID}, "a correction token was forged"


def receipt(mutator: Mutator) -> None:
    """A signed receipt of which everything but the signed head is altered."""
    text = mutator.text((RECEIPT,))
    if mutator.choice.random() < 0.5:
        document = json.loads(RECEIPT)
        event = document["events"][0]
        event[mutator.choice.choice(list(event))] = _value(mutator)
        text = json.dumps(document)
    with suppress(ReceiptError):
        check_proof(text, PUBLIC_KEY)


def _value(mutator: Mutator) -> Any:  # noqa: ANN401 - any value that JSON knows
    return mutator.choice.choice(
        (None, True, -1, 0, 2**63, 2**70, 1.5, "", [], {}, ["x"], [None], mutator.text(("x", "AAAA", str(ID))))
    )


def exported_lines(mutator: Mutator) -> None:
    out = io.BytesIO()
    writer = LineWriter(out)
    for document in ({"format": "fuzz 1"}, {"row": 1}, {"end": True}):
        writer.write(document)
    with suppress(DamagedFileError):
        list(read_lines(io.BytesIO(mutator.octets((out.getvalue().decode(),))), "fuzz 1"))


def erased_person(mutator: Mutator) -> None:
    line = mutator.octets(('{"recipient_id":"6f1d2c3b-4a59-4877-9a0b-c1d2e3f40516","at":"2026-11-25T12:00:00Z"}',))
    with suppress(ErasedIdsFileError):
        ErasedIdsFile(Path("forgotten.jsonl"))._parse_line(line, 1)


def keyrings_and_mail_servers(mutator: Mutator) -> None:
    ring = "1:" + b64encode(b"k" * 32).decode()
    with suppress(KeyRingError):
        KeyRing.parse(mutator.text((ring, f"2:{ring[2:]},{ring}")))
    with suppress(ValueError):
        SmtpServerUrl.parse(mutator.text(("smtp://127.0.0.1:25", "smtps://user:p%40ss@mail.example:465", "null://")))


def command_arguments(mutator: Mutator) -> None:
    import typer  # noqa: PLC0415 - of the command line alone

    for parse, seeds in (
        (lambda text: parse_time_option(text, "--as-of"), ("2027-01-31T23:59:00Z",)),
        (parse_reservation_id, (str(ID),)),
        (parse_group, ("workspace", "")),
        (parse_email, ("li.wei@example.com",)),
    ):
        with suppress(typer.BadParameter):
            parse(mutator.text(seeds))
    for term in TERMS:
        with suppress(InvalidInputError):
            parse_term(term, mutator.text(("5", "unlimited", "2027-01-31T23:59:00Z", "workspace")))


def http_headers(mutator: Mutator) -> None:
    header = mutator.text(("zh-CN,zh;q=0.9,en;q=0.8", "*;q=0.1", "en"))
    assert pick_language(header, "zh") in {"zh", "en"}
    client_networks(mutator.text(("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "192.0.2.1, 198.51.100.2")))


def mail_server_reply(mutator: Mutator) -> None:
    reply = refused_message(
        "mx:25", (mutator.choice.randint(-1, 999), mutator.octets(("5.1.1 <a@b.example> no such user",)))
    )
    assert isinstance(reply, Rejected)
    assert (reply.reply or "").isprintable()


def search_text(mutator: Mutator) -> None:
    _explain_miss(
        mutator.text(("MCM1-PRY5-KC9W-VE1A-S4PD", "li.wei@example.com", str(ID), "form:0123456789abcdef")),
        is_limited=False,
    )
    assert all(isinstance(key, UUID) for key in parse_reservation_ids([mutator.text((str(ID),))]))


def page_links(mutator: Mutator) -> None:
    shown = str(link_urls(mutator.text(("see https://example.com/a?b=c&d, or <b>this</b>", "http://x.example/'\">"))))
    assert "<b>" not in shown
    target = mutator.text(("https://example.com/welcome", "http://localhost:3000/", "javascript:alert(1)"))
    assert not is_redirect_target(target) or target.lower().startswith(("https://", "http://"))


def channel_callback(mutator: Mutator) -> None:
    """A report of an operator's system: its signature and its body; only what was signed is let in."""
    body = b'{"type":"invite.accepted","data":{"reservation_id":"6f1d2c3b-4a59-4877-9a0b-c1d2e3f40516","delivery":1}}'
    secret = secret_text(b"s" * 32)
    headers = sign([secret], "cb_1", AT, body)
    sent = mutator.octets((body.decode(),))
    name = mutator.choice.choice(list(headers))
    altered = {**headers, name: mutator.text((headers[name],))}
    if verification_error([secret], SignatureHeaders.of(altered), sent, AT) is None:
        assert (sent, int(altered["webhook-timestamp"])) == (body, int(AT.timestamp())), "a report was forged"
    with suppress(ValidationError):
        Callback.model_validate_json(sent)


def webhook_target(mutator: Mutator) -> None:
    """Where webhooks may go: never to an address that is not of the public internet, however it is spelled."""
    url = mutator.text(
        ("https://hooks.example.com/in?x=1", "https://[2606:4700::1]:8443/", "https://127.0.0.1/", "http://0x7f.1/")
    )
    with suppress(TargetError):
        target = Target.parse(url)
        assert target.scheme == "https"
        assert target.host.isascii()
        with suppress(ValueError):
            assert may_reach(ipaddress.ip_address(target.host), "https", ())


def code_file(mutator: Mutator) -> None:
    """A file of codes, as every importer reads it: each line is a code, or says what is wrong."""
    head = "code,max_uses,used,open,expires_at,validity_days,group,rebinds_max\r\n"
    line = 'MCM1-PRY5,5,2,yes,2027-01-01T00:00Z,30,"a ""b""",2\r\n'
    csv_files = (
        head + line,
        "code\nX\n",
        head + line * 5,
        "\ufeffcode,group\n'=1,'+a\n",
        "code,max_uses,used,expires_at,group\r\nMCM1-PRY5,5,2,2027-01-01,a\r\nOLD2024,unlimited,0,,\r\n",
    )
    lines = '{"code":"MCM1","max_uses":5,"used":2,"open":true}\n{"code":"OLD2024","max_uses":"unlimited"}\n'
    form: Format = mutator.choice.choice(("csv", "jsonl"))
    data = io.BytesIO(mutator.octets(csv_files if form == "csv" else (lines,)))
    with suppress(UnusableFileError):
        records = Records(data, form, CODE_FILE)
        assert records.count() == len(list(records))
        for record in records:
            with suppress(RejectedRecordError):
                row = parse_row(record.cells, make_template(max_uses=1))
                assert row.text == normalize_code(row.text)
                assert row.used >= 0


def proxy_headers(mutator: Mutator) -> None:
    """What a proxy of ours says of its client is passed on; what others say is not."""
    seen: list[Any] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append((scope["client"][0], scope["scheme"]))

    peer = mutator.choice.choice(("10.0.0.2", "203.0.113.1"))
    said = [
        (
            b"x-forwarded-for",
            mutator.text(("192.0.2.7", "2001:db8::1, 192.0.2.7", "10.0.0.3")).encode("latin-1", "replace"),
        ),
        (b"x-forwarded-proto", mutator.text(("https", "http")).encode("latin-1", "replace")),
    ]
    scope = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": said}
    with suppress(StopIteration):
        behind_proxies(app, ["10.0.0.0/8"])(scope, None, None).__await__().__next__()  # type: ignore[arg-type]  # asks for nothing
    ((client, scheme),) = seen
    client_networks(client)
    assert peer == "10.0.0.2" or (client, scheme) == (peer, "http"), "somebody else was believed"


def log_line(mutator: Mutator) -> None:
    text = mutator.text(
        ("to li.wei@example.com failed", "postgresql://u:p@h/d", "code MCM1-PRY5-KC9W-VE1A-S4PD", "/a/" + "x" * 46)
    )
    redact(None, "info", {"event": text})


def _sealed_receipt() -> tuple[str, bytes]:
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    state = json.dumps({"reservation_id": str(ID)}).encode()
    root = hash_event(ID, 1, "UseReserved:1", state)
    head = {
        "number": 1,
        "size": 1,
        "root": b64encode(root).decode(),
        "at": AT.isoformat(),
        "public_key": b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": b64encode(key.sign(format_signed_text(1, 1, root, AT.isoformat()))).decode(),
    }
    event = {"stream": str(ID), "version": 1, "topic": "UseReserved:1", "state": b64encode(state).decode()}
    events = [{**event, "leaf_index": 0, "path": []}]
    document = {"format": FORMAT, "reservation_id": str(ID), "events": events, "checkpoint": head}
    return json.dumps(document), key.public_key().public_bytes_raw()


RECEIPT, PUBLIC_KEY = _sealed_receipt()

PARSERS: Sequence[Parser] = (
    *(typed_code, typed_email, redeem_body, csv_cell, cursor, link_of_email),
    *(correction_link, receipt, exported_lines, erased_person, keyrings_and_mail_servers, command_arguments),
    *(http_headers, mail_server_reply, search_text, page_links, channel_callback, webhook_target),
    *(code_file, proxy_headers, log_line, read_message, read_signed_event, read_forged_request),
)
