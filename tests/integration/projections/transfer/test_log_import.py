"""Export and import: the same ledger elsewhere, byte for byte, or nothing at all."""

import base64
import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from domain.commands.campaign.waiting_list import JoinWaitingList
from domain.results import WaitingResult
from projections.database.errors import WrongKeysError
from projections.replay import row_buffer
from projections.replay.observer import UndecodableEventError
from projections.storage.bootstrap import LedgerStore
from projections.transfer.checksummed_lines import DamagedFileError, LineWriter, read_lines
from projections.transfer.log_export import FORMAT, LogSummary, export_log
from projections.transfer.log_import import NotEmptyError, import_log
from projections.transfer.vault_transfer import EXCLUDED_TABLES, export_vault, exported_tables, import_vault
from projections.transparency_log.checkpoints import derive_signing_key, list_checkpoints, sign_head
from projections.transparency_log.merkle import compute_root
from projections.transparency_log.tile_log import append_new_events, open_subtree_reader, read_tree_size
from projections.vault.key_ring import KeyRing
from projections.vault.vault import Vault
from projections.verification.verify import verify
from tests.support.ledger.ledger_bench import LedgerBench, done
from tests.support.ledger.random_history import RandomHistory
from tests.support.ledger.rebuilds import NoProgress, read_models
from tests.support.ledger.settings import settings_for
from tests.support.servers.databases import clone, database_of, drop, execute


@pytest.fixture
def elsewhere(postgres_url: str) -> Iterator[LedgerBench]:
    """Another empty ledger, with the same keys."""
    name = f"test_{uuid4().hex}"
    clone(postgres_url, name)
    with LedgerStore.open(settings_for(database_of(postgres_url, name))) as storage:
        yield LedgerBench(storage, database_of(postgres_url, name))
    drop(postgres_url, name)


@pytest.fixture
def lived(bench: LedgerBench) -> LedgerBench:
    """A ledger with a random history, holes in its positions, and two checkpoints."""
    history = RandomHistory(bench, seed=11)
    history.go_on(40)
    execute(bench.database_url, "SELECT setval('ledger_events_notification_id_seq', 1000)")
    signed(bench, 0)
    history.go_on(40)
    signed(bench, 2)
    campaign = bench.create_campaign(max_uses=2, max_per_person=1)
    for _ in range(3):
        bench.redeem(bench.issue(campaign_id=campaign), "late@example.com")
    done(bench.redeem(bench.issue(campaign_id=campaign), "later@example.com"))
    return bench


def signed(bench: LedgerBench, minutes: int) -> None:
    """What beat does: follow, and sign, some minutes from now."""
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        append_new_events(conn)
        now = bench.storage.recorder.clock.now() + timedelta(minutes=minutes)
        assert sign_head(conn, derive_signing_key(bench.storage.vault.rings["master"]), now)


def exported(bench: LedgerBench) -> bytes:
    out = io.BytesIO()
    export_log(bench.database_url, out, NoProgress())
    return out.getvalue()


def imported(bench: LedgerBench, file: bytes) -> LogSummary:
    return import_log(bench.database_url, io.BytesIO(file), NoProgress())


def log_of(bench: LedgerBench) -> list[tuple[Any, ...]]:
    return bench.rows("SELECT * FROM ledger_events ORDER BY notification_id")


def tree_of(bench: LedgerBench) -> tuple[Any, ...]:
    with psycopg.connect(bench.database_url, autocommit=True) as conn:
        while append_new_events(conn):
            pass
        size = read_tree_size(conn)
        return compute_root(open_subtree_reader(conn), size.size), size, list_checkpoints(conn, 0, 100)


def test_import_is_the_same_ledger(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """Events, positions with their holes, read models, Merkle root and checkpoints; new events come after them."""
    there = imported(elsewhere, exported(lived))

    assert log_of(lived) == log_of(elsewhere)
    assert read_models(lived) == read_models(elsewhere)
    assert tree_of(lived) == tree_of(elsewhere)
    assert (2, tree_of(lived)[0]) == (there.checkpoints, there.root)
    assert exported(lived) == exported(elsewhere)
    last = log_of(elsewhere)[-1][-1]
    elsewhere.issue()
    assert log_of(elsewhere)[-1][-1] > last


def test_imported_people_wait_where_they_waited(bench: LedgerBench, elsewhere: LedgerBench) -> None:
    """An erasure finds them there, and an offer can be written to them."""
    code = bench.issue(9, bound=False, campaign_id=bench.create_campaign(max_uses=1, waiting_hours=9))
    done(bench.redeem(code, "first@example.com"))
    join = JoinWaitingList(redeem=bench.reserve(code, "li@example.com"))
    assert isinstance(bench.storage.ledger.execute_one(join), WaitingResult)
    imported(elsewhere, exported(bench))

    rows = "SELECT place_id, campaign_id, code_id, recipient_id, joined_at FROM waiting_places"
    assert elsewhere.rows(rows) == bench.rows(rows) != []


def test_import_ends_when_a_page_has_more_rows_than_a_piece(
    lived: LedgerBench, elsewhere: LedgerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait until the page is read: the one connection of an import reads and writes."""
    monkeypatch.setattr(row_buffer, "ROWS_PER_PIECE", 2)
    imported(elsewhere, exported(lived))

    assert read_models(lived) == read_models(elsewhere)


def test_vault_is_exported_encrypted_and_opens_with_its_keys(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """Every traveling table is the same afterwards; the next redeem of the same person finds the old reservation."""
    code = lived.issue()
    reservation = done(lived.redeem(code, "Li.Wei@example.com")).require_reservation()
    execute(lived.database_url, "INSERT INTO audit (at, act) VALUES (now(), 'signed_out'), (now(), 'signed_out')")
    file = io.BytesIO()
    imported(elsewhere, exported(lived))
    export_vault(lived.database_url, file, NoProgress())
    assert b"example.com" not in file.getvalue()
    file.seek(0)

    moved = import_vault(elsewhere.database_url, file, elsewhere.storage.vault, NoProgress())

    with psycopg.connect(lived.database_url) as conn:
        tables = exported_tables(conn)
    assert {"recipients", "code_texts", "private_texts", "refusals", "audit", "staff", "api_keys"} <= set(tables)
    assert not set(tables) & EXCLUDED_TABLES.keys()
    for table in tables:
        query = f"SELECT * FROM {table} t ORDER BY t::text"  # noqa: S608 - names from the catalogue
        assert lived.rows(query) == elsewhere.rows(query), table
    assert moved.rows["audit"] == 2
    assert reservation == done(elsewhere.redeem(code, "li.wei@example.com")).require_reservation()
    execute(elsewhere.database_url, "INSERT INTO audit (at, act) VALUES (now(), 'signed_out')")
    findings = verify(elsewhere.database_url, timedelta(days=9), NoProgress(), 10)
    assert findings.wrong == 0


def test_states_that_are_not_text_are_exported_too(lived: LedgerBench) -> None:
    """Stored bytes that are no UTF-8, or JSON in another spelling, come out as they are."""
    odd = b'{ "a" : "\\u00e9\xc3\xa9" }'
    raw = b"\xff\x00{"
    for number, state in ((1, odd), (2, raw)):
        lived.rows("INSERT INTO ledger_events VALUES (gen_random_uuid(), %s, 'Odd:1', %s) RETURNING 1", number, state)

    lines = [line.document for line in read_lines(io.BytesIO(exported(lived)), FORMAT)]

    assert odd.decode() in [line.get("state") for line in lines]
    stored = [line["state_base64"] for line in lines if line.get("topic") == "Odd:1" and "state_base64" in line]
    assert stored == ["/wB7"]
    reserved = [line["fields"]["reservation_id"] for line in lines if line.get("topic") == "UseReserved:1"]
    assert sorted(reserved) == [str(row[0]) for row in lived.rows("SELECT reservation_id FROM reservations ORDER BY 1")]


def _flipped(lines: list[bytes]) -> None:
    lines[7] = lines[7].replace(b'"version":', b'"version":1', 1)


def _without(lines: list[bytes]) -> None:
    del lines[7]


def _swapped(lines: list[bytes]) -> None:
    lines[7], lines[8] = lines[8], lines[7]


def _cut_inside(lines: list[bytes]) -> None:
    lines[7:] = [lines[7][:30]]


def _cut_after(lines: list[bytes]) -> None:
    del lines[7:]


def _longer(lines: list[bytes]) -> None:
    lines.insert(7, lines[6])


def test_damaged_file_is_refused_by_line(bench: LedgerBench, elsewhere: LedgerBench) -> None:
    """The eighth line is named, whatever was done there, and nothing is imported."""
    RandomHistory(bench, seed=5).go_on(15)
    file = exported(bench).splitlines(keepends=True)
    for harm in (_flipped, _without, _swapped, _cut_inside, _cut_after, _longer):
        lines = [*file]
        harm(lines)
        with pytest.raises(DamagedFileError, match=r"^line 8: "):
            imported(elsewhere, b"".join(lines))

    assert log_of(elsewhere) == []


def rewritten(file: bytes, change: Callable[[int, dict[str, Any]], None]) -> bytes:
    """The file with other content and checks that fit, as an attacker with our code could make it."""
    out = io.BytesIO()
    lines = LineWriter(out)
    for number, document in read_lines(io.BytesIO(file), FORMAT):
        change(number, document)
        lines.write(document)
    return out.getvalue()


def test_artful_forgery_contradicts_its_checkpoint(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """With fitting checks an altered event still isn't what was signed: the checkpoint's line says so."""

    def forge(number: int, document: dict[str, Any]) -> None:
        if number == 3:
            document["state_base64"] = base64.b64encode(b"\x80").decode()

    with pytest.raises(DamagedFileError, match="are not those that checkpoint 1 signed"):
        imported(elsewhere, rewritten(exported(lived), forge))
    assert log_of(elsewhere) == []


def test_positions_that_do_not_rise_are_refused(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """Two events at one place can't be both right."""

    def shift(number: int, document: dict[str, Any]) -> None:
        if number == 5:
            document["position"] = 1

    with pytest.raises(DamagedFileError, match="line 5: position 1 is not after"):
        imported(elsewhere, rewritten(exported(lived), shift))


def test_event_that_cannot_follow_is_refused(bench: LedgerBench, elsewhere: LedgerBench) -> None:
    """The end line covers all events; what only the fold can find is found by it. Nothing stays."""
    RandomHistory(bench, seed=3).go_on(10)

    def end(_number: int, document: dict[str, Any]) -> None:
        if "end" in document:
            document["end"]["root"] = ""

    with pytest.raises(DamagedFileError, match="the end line does not match the events"):
        imported(elsewhere, rewritten(exported(bench), end))
    execute(bench.database_url, "INSERT INTO ledger_events VALUES (gen_random_uuid(), 1, 'Odd:1', '{}')")
    with pytest.raises(UndecodableEventError, match=r"topic Odd:1\): no event type for topic"):
        imported(elsewhere, exported(bench))

    assert [] == log_of(elsewhere) == read_models(elsewhere)["code_balances"]


def test_only_an_empty_database_takes_an_import(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """Mixing two ledgers would be neither."""
    elsewhere.issue()
    file = io.BytesIO()
    export_vault(lived.database_url, file, NoProgress())
    file.seek(0)

    with pytest.raises(NotEmptyError, match="events and read models: an import needs an empty database"):
        imported(elsewhere, exported(lived))
    with pytest.raises(NotEmptyError, match="vault already holds rows"):
        import_vault(elsewhere.database_url, file, elsewhere.storage.vault, NoProgress())


def test_relays_begin_again_elsewhere(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """A position of this log may be after the end of the file: what follows would be left out."""
    lived.rows("INSERT INTO relays VALUES ('a', '', '', 9, NULL, 0, NULL, gen_random_uuid(), '', now()) RETURNING 1")
    file = io.BytesIO()
    export_vault(lived.database_url, file, NoProgress())
    file.seek(0)
    import_vault(elsewhere.database_url, file, elsewhere.storage.vault, NoProgress())

    assert elsewhere.rows("SELECT name FROM relays") == []


def test_vault_without_its_keys_is_refused(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    """It would be rows that cannot be decrypted or found; a file of another kind is not a vault."""
    file = io.BytesIO()
    export_vault(lived.database_url, file, NoProgress())
    file.seek(0)
    other = Vault(elsewhere.storage.vault.rings["pepper"], KeyRing(1, {1: b"o" * 32}))

    with pytest.raises(WrongKeysError, match="LEDGER_MASTER_KEYS does not hold the keys that the file was written"):
        import_vault(elsewhere.database_url, file, other, NoProgress())
    with pytest.raises(DamagedFileError, match="line 1: this is not a file of the format 'redemption-ledger vault 1'"):
        import_vault(elsewhere.database_url, io.BytesIO(exported(lived)), other, NoProgress())


def test_cut_vault_is_refused(lived: LedgerBench, elsewhere: LedgerBench) -> None:
    file = io.BytesIO()
    export_vault(lived.database_url, file, NoProgress())
    cut = b"".join(file.getvalue().splitlines(keepends=True)[:-3])

    with pytest.raises(DamagedFileError, match="it is incomplete"):
        import_vault(elsewhere.database_url, io.BytesIO(cut), elsewhere.storage.vault, NoProgress())
    assert elsewhere.rows("SELECT * FROM recipients") == []
