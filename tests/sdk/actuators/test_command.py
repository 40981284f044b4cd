from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn_events import events
from qcface_sdk.actuators import MAX_SECONDS, OpenCommand
from qcface_sdk.errors import CommandExpiredError, OptionError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.results import Outcome

ACCEPT = DoorEvent.new(EventKind.DECISION, "front", "cam", outcome=Outcome.ACCEPT, subject="ann", monotonic=100.0)


@given(event=events())
def test_only_an_accept_makes_a_command(event: DoorEvent) -> None:
    if event.outcome is Outcome.ACCEPT:
        command = OpenCommand.of(event)
        assert (command.door, command.event_id, command.subject) == (event.door, event.id, event.subject)
    else:
        with pytest.raises(OptionError, match="only an accept"):
            OpenCommand.of(event)


@given(now=st.floats(0, 1e6), life=st.floats(0.01, MAX_SECONDS))
def test_command_counts_from_the_decision_and_on_its_own_boot_only(now: float, life: float) -> None:
    command = OpenCommand.of(ACCEPT, life)
    if 100.0 <= now < 100.0 + life:
        assert 0 < command.check(now) <= life
    else:
        with pytest.raises(CommandExpiredError, match="front"):
            command.check(now)


@pytest.mark.parametrize("life", [0, -1, MAX_SECONDS + 0.01, float("nan"), float("inf")])
def test_no_command_lives_longer_than_two_seconds(life: float) -> None:
    with pytest.raises(OptionError, match="at most 2 s"):
        OpenCommand.of(ACCEPT, life)


def test_command_of_an_event_made_now_is_fresh() -> None:
    event = DoorEvent.new(EventKind.DECISION, "front", "cam", outcome=Outcome.ACCEPT, subject="ann")
    assert 0 < OpenCommand.of(event).check() <= MAX_SECONDS
