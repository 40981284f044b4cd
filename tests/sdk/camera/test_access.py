from __future__ import annotations

from datetime import datetime, time, timedelta, timezone

import pytest

from qcface_sdk import OptionError
from qcface_sdk.camera import AllOf, AllowList, WeeklySchedule

MONDAY = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)


def test_schedule_is_in_local_time_and_closed_on_days_it_does_not_name() -> None:
    tokyo = WeeklySchedule({0: (time(9), time(17))}, timezone(timedelta(hours=9)))
    assert tokyo.permits("ada", "front", MONDAY) == "outside_schedule"
    assert tokyo.permits("ada", "front", MONDAY - timedelta(hours=8)) is None
    assert tokyo.permits("ada", "front", MONDAY.replace(hour=0) + timedelta(days=1)) == "outside_schedule"


def test_hours_begin_inclusive_and_end_exclusive() -> None:
    office = WeeklySchedule({0: (time(8), time(9))}, timezone.utc)
    assert office.permits("a", "d", MONDAY) is None
    assert office.permits("a", "d", MONDAY.replace(hour=9)) == "outside_schedule"


@pytest.mark.parametrize("hours", [{7: (time(1), time(2))}, {0: (time(22), time(6))}, {0: (time(8), time(8))}])
def test_impossible_hours_are_refused(hours: dict[int, tuple[time, time]]) -> None:
    with pytest.raises(OptionError, match="Monday"):
        WeeklySchedule(hours, timezone.utc)


def test_all_rules_must_permit() -> None:
    closed = WeeklySchedule({}, timezone.utc)
    assert AllOf((AllowList({"a"}), closed)).permits("a", "d", MONDAY) == "outside_schedule"
    assert AllOf((AllowList({"a"}), closed)).permits("b", "d", MONDAY) == "not_on_list"
    assert AllOf((AllowList({"a"}),)).permits("a", "d", MONDAY) is None
