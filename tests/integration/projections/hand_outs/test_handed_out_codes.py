"""The rows of hand-outs and handed-out codes follow from the log: live, after a rebuild, and in every check."""

from uuid import UUID, uuid4

from domain.commands.code.issue import HandOutPlace, IssueCode
from domain.commands.hand_out.hand_out_mail import RecordHandOutMail, RecordHandOutReport, ResendHandOut
from domain.commands.hand_out.manage_hand_out import CreateHandOut, PauseHandOut
from domain.results import HandOutResult
from domain.values.identifiers import generate_code
from tests.support.ledger.code_terms import make_terms
from tests.support.ledger.ledger_bench import SENT, LedgerBench, assert_no_drift, done
from tests.support.ledger.rebuilds import read_models, rebuilt


def hand_out(bench: LedgerBench, campaign_id: UUID) -> UUID:
    hand_out_id = uuid4()
    context = bench.context("operator")
    commands = (
        CreateHandOut(context=context, campaign_id=campaign_id, hand_out_id=hand_out_id, name="N", terms=make_terms()),
        PauseHandOut(context=context, campaign_id=campaign_id, hand_out_id=hand_out_id),
    )
    for command in commands:
        assert isinstance(bench.storage.ledger.execute_one(command), HandOutResult)
    return hand_out_id


def handed_out_code(bench: LedgerBench, campaign_id: UUID, hand_out_id: UUID) -> UUID:
    code_id = uuid4()
    text = bench.storage.vault.draft_code(generate_code(bench.random_source), code_id)
    command = IssueCode(
        context=bench.context("worker"),
        code_id=code_id,
        text=text,
        terms=make_terms(),
        bound=True,
        campaign_id=campaign_id,
        handed_out=HandOutPlace(hand_out_id, uuid4()),
    )
    done(bench.run(command))
    return code_id


def test_rows_follow_from_the_log(bench: LedgerBench) -> None:
    """Sent, bounced, sent again, and the first one reported as bounced: the newest email counts, also in a rebuild."""
    campaign_id = bench.create_campaign()
    hand_out_id = hand_out(bench, campaign_id)
    bounced, resent = (handed_out_code(bench, campaign_id, hand_out_id) for _ in range(2))
    worker = bench.context("worker")
    for code_id in (bounced, resent):
        done(bench.run(RecordHandOutMail(context=worker, code_id=code_id, mail=1, outcome=SENT)))
    done(bench.run(RecordHandOutReport(context=worker, code_id=bounced)))
    done(bench.run(ResendHandOut(context=bench.context("staff"), code_id=resent)))
    note = bench.storage.vault.seal_text("no such user", uuid4())
    done(bench.run(RecordHandOutReport(context=worker, code_id=resent, mail=1, text=note)))
    query = "SELECT code_id, mail, mail_state, version FROM handed_out_codes ORDER BY mail"
    live = bench.rows(query)
    hand_outs = "SELECT hand_out_id, campaign_id, state, created_version, version FROM hand_outs"
    before = bench.rows(hand_outs)
    assert_no_drift(bench)
    models = read_models(bench)
    report = rebuilt(bench, apply=True)

    assert live == [(bounced, 1, "bounced", 4), (resent, 2, "queued", 5)]
    assert before == [(hand_out_id, campaign_id, "paused", 2, 3)]
    assert report.counts == {}
    assert read_models(bench) == models
