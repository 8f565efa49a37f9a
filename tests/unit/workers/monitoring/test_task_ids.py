from domain.values.trace_ids import is_trace_id
from workers.monitoring.task_metrics import draw_task_id, known_task_id


def test_drawn_task_ids_are_recorded_as_they_are() -> None:
    """Each has 16 digits and a letter among them, so none is taken for the number of a document."""
    ids = [draw_task_id() for _ in range(100)]

    assert len(set(ids)) == len(ids)
    assert {len(each) for each in ids} == {16}
    assert [known_task_id(each) for each in ids] == ids
    assert all(is_trace_id(each) for each in ids)
