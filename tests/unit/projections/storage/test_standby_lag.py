from projections.storage.standby_lag import LagEstimate, PrimaryPosition, StandbyPosition


def primary(flushed: int, timeline: str = "00000001") -> PrimaryPosition:
    return PrimaryPosition(7, timeline, flushed)


def standby(replayed: int, timeline: str = "00000001", system: int = 7, *, is_standby: bool = True) -> StandbyPosition:
    return StandbyPosition(is_standby, system, timeline, replayed)


def test_lag_is_the_age_of_the_newest_position_that_the_standby_has() -> None:
    estimate = LagEstimate()
    assert estimate.find_lag_s(standby(100), now=0.0) is None
    for at, flushed in ((1.0, 100), (2.0, 100), (3.0, 250), (4.0, 300)):
        estimate.add_primary(at, primary(flushed))

    assert estimate.find_lag_s(standby(99), now=5.0) is None
    assert estimate.find_lag_s(standby(100), now=5.0) == 3.0
    assert estimate.find_lag_s(standby(249), now=9.0) == 7.0
    assert estimate.find_lag_s(standby(300), now=5.0) == 1.0
    assert estimate.find_lag_s(standby(301), now=3.9) == 0.0


def test_lag_grows_while_the_primary_does_not_answer() -> None:
    estimate = LagEstimate()
    estimate.add_primary(1.0, primary(100))

    assert [estimate.find_lag_s(standby(100), now=now) for now in (1.5, 61.0)] == [0.5, 60.0]


def test_lag_of_a_server_with_another_history_is_unknown() -> None:
    estimate = LagEstimate()
    estimate.add_primary(1.0, primary(100))
    others = (standby(500, system=8), standby(500, "00000002"), standby(500, is_standby=False))
    assert [estimate.find_lag_s(other, now=2.0) for other in others] == [None, None, None]

    estimate.add_primary(3.0, primary(200, "00000002"))

    assert estimate.find_lag_s(standby(500), now=4.0) is None
    assert estimate.find_lag_s(standby(150, "00000002"), now=4.0) is None
    assert estimate.find_lag_s(standby(200, "00000002"), now=4.0) == 1.0
