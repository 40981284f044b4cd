"""Hypothesis strategies for door events."""

from __future__ import annotations

from datetime import timezone

from hypothesis import strategies as st

from qcface_sdk.events import DoorEvent, EventKind, Liveness
from qcface_sdk.results import Outcome

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)
words = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), max_size=3).map(tuple)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
numbers = st.floats(allow_nan=False, allow_infinity=False)


def _or_none(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


@st.composite
def events(draw: st.DrawFn) -> DoorEvent:
    kind = draw(st.sampled_from(EventKind))
    outcome = draw(st.sampled_from(Outcome)) if kind is EventKind.DECISION else None
    accept = outcome is Outcome.ACCEPT
    return DoorEvent.new(
        kind,
        draw(names),
        draw(names),
        time=draw(st.datetimes(timezones=st.just(timezone.utc))),
        monotonic=draw(st.floats(0, 1e9)),
        outcome=outcome,
        reasons=draw(words),
        advice=draw(_or_none(texts)),
        subject=draw(texts if accept else _or_none(texts)),
        similarity=draw(_or_none(st.floats(-1, 1))),
        threshold=draw(_or_none(st.floats(-1, 1))),
        fmr=draw(_or_none(st.floats(0, 1))),
        quality=draw(_or_none(st.floats(0, 100))),
        quality_reasons=draw(words),
        track=draw(_or_none(st.integers(0, 2**40))),
        liveness=draw(st.sampled_from([Liveness.NOT_CHECKED, Liveness.LIVE] if accept else list(Liveness))),
        bbox=draw(_or_none(st.tuples(*[st.floats(-1e5, 1e5)] * 4))),
        snapshot=draw(_or_none(texts)),
        contract=draw(_or_none(texts)),
        message=draw(_or_none(texts)),
    )
