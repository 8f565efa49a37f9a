"""The values of recipients in lists: encrypted, rotated with the keys, checked by verify, exported, and erased."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api.use_cases.privacy.export_person import export_person
from api.use_cases.services import Caller, LedgerServices, SweepDispatcher
from domain.commands.hand_out.manage_hand_out import CreateHandOut
from domain.model.hand_out import list_codes_of_line
from domain.results import HandOutResult
from domain.values.identifiers import EmailAddress
from projections.config.approvals import ApprovalPolicy
from projections.hand_outs.hand_out_lists import HandOutLists, ListRow
from projections.hand_outs.hand_out_queue import HandOutQueue
from projections.privacy.erasure import PersonEraser
from projections.privacy.key_rotation import KeyRotation
from projections.read_models.reader import Reader
from projections.storage.bootstrap import LedgerStore
from projections.verification.vault_check import check_vault
from tests.integration.projections.privacy.test_key_rotation import ringed
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import LedgerBench

LI, WANG = (EmailAddress.parse(f"{name}@example.com") for name in ("li", "wang"))


@pytest.fixture
def hand_out_id(bench: LedgerBench) -> UUID:
    campaign_id, context, made_id = bench.create_campaign(), bench.context("staff"), uuid4()
    command = CreateHandOut(context=context, campaign_id=campaign_id, hand_out_id=made_id, name="N", terms=make_terms())
    assert isinstance(bench.storage.ledger.execute_one(command), HandOutResult)
    lists = HandOutLists(bench.storage, uuid4, uuid4)
    upload = lists.begin(made_id, campaign_id, context.now)
    rows = [ListRow(LI, "en", {"name": "Li Wei"}, codes=3), ListRow(WANG, "zh", {"name": "Wang Fang"})]
    assert lists.add(upload, rows, context.now) == [True, True]
    lists.end(upload, context.now)
    return made_id


def values(bench: LedgerBench, storage: LedgerStore) -> list[str]:
    rows = HandOutQueue(storage).take(bench.storage.recorder.clock.now(), 9)
    return sorted(row.variables["name"] for row in rows)


@pytest.mark.usefixtures("hand_out_id")
def test_values_are_rotated_with_the_keys(bench: LedgerBench) -> None:
    """Afterwards the new keys are enough, and no clear text was in the table."""
    clear = bench.rows("SELECT count(*) FROM hand_out_recipients WHERE position('Li Wei'::bytea IN sealed) > 0")
    with LedgerStore.open(ringed(bench.database_url)) as storage:
        rotation = KeyRotation(storage)
        before = rotation.count_remaining()
        rewritten = sum(rotation.run())
        after = rotation.count_remaining()
    with LedgerStore.open(ringed(bench.database_url, old_too=False)) as storage:
        read = values(bench, storage)

    assert (clear, before, rewritten, after) == ([(0,)], 4, 4, 0)
    assert read == ["Li Wei", "Wang Fang"]


@pytest.mark.usefixtures("hand_out_id")
def test_values_of_another_row_are_found_by_verify(bench: LedgerBench) -> None:
    """A text is bound to the id of its row."""
    with bench.storage.datastore.get_connection() as conn:
        whole = list(check_vault(conn, bench.storage.vault))
    bench.rows(
        "UPDATE hand_out_recipients a SET sealed = b.sealed FROM hand_out_recipients b"
        " WHERE a.code_id <> b.code_id RETURNING a.code_id"
    )
    with bench.storage.datastore.get_connection() as conn:
        swapped = list(check_vault(conn, bench.storage.vault))

    assert whole == []
    assert {finding.type for finding in swapped} == {"hand_out_recipients"}
    assert len(swapped) == 2


def export(bench: LedgerBench) -> dict[str, Any]:
    services = LedgerServices(
        storage=bench.storage,
        reader=Reader(bench.storage),
        dispatcher=SweepDispatcher(),
        approvals=ApprovalPolicy(frozenset(), 0, timedelta(days=3)),
        new_id=uuid4,
        new_ordered_id=uuid4,
    )
    person: dict[str, Any]
    (person,) = export_person(services, Caller(actor="operator"), LI, "en", "asked for it")["people"]
    return person


def test_values_are_exported_and_erased_with_the_person(bench: LedgerBench, hand_out_id: UUID) -> None:
    """The other recipient's row stays."""
    person = export(bench)
    PersonEraser(bench.storage).erase(person["recipient_id"])

    (row,) = person["hand_outs"]
    assert (row["hand_out_id"], row["language"], row["variables"]) == (hand_out_id, "en", {"name": "Li Wei"})
    assert (row["form_opened"], row["codes"]) == (False, 3)
    assert values(bench, bench.storage) == ["Wang Fang"]


@pytest.mark.usefixtures("hand_out_id")
def test_end_of_each_code_of_a_line_is_exported(bench: LedgerBench) -> None:
    """In the order of the attached file; none before the codes are issued."""
    ((line_id,),) = bench.rows("SELECT code_id FROM hand_out_recipients WHERE codes = 3")
    (before,) = export(bench)["hand_outs"]
    bench.hand_out_code(line_id)
    (row,) = export(bench)["hand_outs"]

    ends = dict(bench.rows("SELECT code_id, hint FROM code_texts"))
    assert (before["code_ends"], before["more_codes_end"]) == ("", [])
    assert [row["code_ends"], *row["more_codes_end"]] == [ends[each] for each in list_codes_of_line(line_id, 3)]
