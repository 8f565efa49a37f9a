from api.use_cases.past_states.causes import CauseLink
from api.web.support.history.cause_tracks import FIRST_X, TRACK_WIDTH, TRACKS_MAX, Branch, draw_tracks


def link(cause: int, effect: int) -> CauseLink:
    return CauseLink(cause, effect, "causes")


def test_line_of_causes_has_one_track() -> None:
    drawing = draw_tracks([2, 3, 4], [link(2, 3), link(3, 4)])

    assert [row.x for row in drawing.rows] == [FIRST_X] * 3
    assert [row.incoming for row in drawing.rows] == [[], [Branch(FIRST_X, False)], [Branch(FIRST_X, False)]]
    assert [row.is_cause for row in drawing.rows] == [True, True, False]
    assert [row.passing for row in drawing.rows] == [[], [], []]
    assert drawing.width == 2 * FIRST_X


def test_branches_leave_the_track_of_their_cause_which_passes_until_the_last() -> None:
    links = [link(2, 3), link(2, 4), link(3, 5), CauseLink(4, 6, "followed_by")]
    second = FIRST_X + TRACK_WIDTH

    rows = draw_tracks([2, 3, 4, 5, 6], links).rows

    assert [row.x for row in rows] == [FIRST_X, second, FIRST_X, second, FIRST_X]
    assert rows[1].passing == [FIRST_X]
    assert rows[2].passing == [second]
    assert rows[3].passing == [FIRST_X]
    assert rows[4].incoming == [Branch(FIRST_X, True)]
    assert not rows[4].passing


def test_many_effects_of_one_cause_need_two_tracks() -> None:
    """A revocation refunds many: a line passes, and each refund ends next to it."""
    drawing = draw_tracks(list(range(1, 27)), [link(1, effect) for effect in range(2, 27)])

    assert {row.x for row in drawing.rows} == {FIRST_X, FIRST_X + TRACK_WIDTH}
    assert drawing.width == 2 * FIRST_X + TRACK_WIDTH


def test_nested_branches_are_bounded_in_width() -> None:
    versions = list(range(1, 41))
    links = [link(number, number + 1) for number in range(1, 20)]
    links += [link(number, 41 - number) for number in range(1, 20)]

    drawing = draw_tracks(versions, links)

    assert len(drawing.rows) == len(versions)
    assert max(row.x for row in drawing.rows) == FIRST_X + TRACK_WIDTH * (TRACKS_MAX - 1)
