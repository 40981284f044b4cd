from __future__ import annotations

from qcface_sdk.camera.passage import PassageWatch


def test_with_a_closed_door_nobody_passes() -> None:
    assert not PassageWatch(5.0).gone(1.0, 100, 100)


def test_one_alarm_for_each_person_too_many() -> None:
    watch = PassageWatch(5.0)
    watch.accepted(0.0)
    assert [watch.gone(1 + i / 10, 100, 100) for i in range(4)] == [False, True, True, True]


def test_everyone_accepted_may_pass_and_the_window_closes() -> None:
    watch = PassageWatch(5.0)
    watch.accepted(0.0)
    watch.accepted(3.0)
    assert [watch.gone(time, 100, 100) for time in (4.0, 7.0)] == [False, False]
    assert not watch.gone(8.5, 100, 100)
    watch.accepted(9.0)
    assert [watch.gone(time, 100, 100) for time in (9.5, 10.0)] == [False, True]


def test_who_walked_away_did_not_pass() -> None:
    watch = PassageWatch(5.0)
    watch.accepted(0.0)
    assert not any(watch.gone(1.0, 60, 100) for _ in range(5))
