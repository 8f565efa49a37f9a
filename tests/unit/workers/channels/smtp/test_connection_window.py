from workers.channels.smtp.connection_window import RECOVERY_S, REST_FIRST_S, REST_LONGEST_S, ConnectionWindow

MOST = 16


def test_window_halves_once_for_refusals_that_were_begun_together() -> None:
    """Connections begun before the window shrank say nothing about the smaller one."""
    window = ConnectionWindow(MOST)
    for now in (1.0, 1.1, 1.2):
        window.record_refusal(now, begun_at=0.5, established=12, chance=0.0)

    assert window.allowed == 8
    window.record_refusal(2.0, begun_at=1.5, established=12, chance=0.0)
    assert window.allowed == 4


def test_window_shrinks_to_the_connections_that_the_server_granted() -> None:
    window = ConnectionWindow(MOST)
    window.record_refusal(1.0, begun_at=0.5, established=2, chance=0.0)

    assert window.allowed == 2


def test_window_never_falls_below_one() -> None:
    window = ConnectionWindow(MOST)
    for now in range(1, 50):
        window.record_refusal(float(now), begun_at=now - 0.5, established=now % 2, chance=0.5)

        assert window.allowed >= 1


def test_window_grows_by_one_after_each_time_without_refusal() -> None:
    window = ConnectionWindow(4)
    window.record_refusal(0.0, begun_at=-1.0, established=1, chance=0.0)
    sizes = []
    for step in range(1, 7):
        window.grow(step * RECOVERY_S - 0.1)
        window.grow(step * RECOVERY_S)
        sizes.append(window.allowed)

    assert sizes == [2, 3, 4, 4, 4, 4]
    assert not window.is_limited


def test_window_rests_longer_after_each_refusal_while_nothing_is_open() -> None:
    window, now, cooldowns = ConnectionWindow(MOST), 0.0, []
    for _ in range(8):
        window.record_refusal(now, begun_at=now, established=0, chance=0.0)
        begun = now
        while window.is_resting(now):
            now += 0.5
        cooldowns.append(now - begun)

    assert cooldowns[:3] == [REST_FIRST_S, REST_FIRST_S * 2, REST_FIRST_S * 4]
    assert cooldowns[-1] == REST_LONGEST_S
    window.record_refusal(now, begun_at=now, established=0, chance=1.0)
    assert window.is_resting(now + REST_LONGEST_S * 1.2)
    window.record_success()
    assert not window.is_resting(now)


def test_window_comes_back_fast_to_half_its_size_after_an_outage() -> None:
    """A server that was away is not one that limits: each connection that it lets in allows one more."""
    window = ConnectionWindow(MOST)
    for now in (1.0, 2.0, 4.0):
        window.record_refusal(now, begun_at=now, established=0, chance=0.0)
    assert window.allowed == 1
    for _ in range(MOST):
        window.record_success()

    assert window.allowed == MOST // 2
