from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from door_scenes import SceneEngine, SceneGallery
from qcface_sdk.camera import Door, DoorRules, FrameFeed
from qcface_sdk.errors import ThresholdUnavailableError
from qcface_sdk.service.building import check_rules


class MeasuredEngine(SceneEngine):
    """Its measurements support the rates of some kinds only."""

    def __init__(self, *supported: str) -> None:
        super().__init__()
        self.supported = supported

    def threshold(self, fmr: float) -> float:
        return self._supported("fmr")

    def search_threshold(self, fpir: float, size: int) -> Any:
        return SimpleNamespace(threshold=self._supported("fpir"))

    def _supported(self, kind: str) -> float:
        if kind not in self.supported:
            raise ThresholdUnavailableError(f"no {kind} was measured")
        return 0.5


@pytest.mark.parametrize("rules", [DoorRules(), DoorRules(fmr=1e-3), DoorRules(fpir=1e-3), DoorRules(threshold=0.4)])
@pytest.mark.parametrize("supported", [("fmr", "fpir"), ("fmr",), ("fpir",), ()])
def test_rules_are_refused_where_the_door_would_be(rules: DoorRules, supported: tuple[str, ...]) -> None:
    engine: Any = MeasuredEngine(*supported)
    door: Any = SimpleNamespace(rules=rules)
    try:
        Door(engine, SceneGallery(engine, []), FrameFeed(), rules=rules)  # type: ignore[arg-type]
    except ThresholdUnavailableError:
        with pytest.raises(ThresholdUnavailableError):
            check_rules(door, engine)
    else:
        if rules.fpir is None or "fpir" in supported:
            check_rules(door, engine)
        else:
            # The door itself finds out at its first search only.
            with pytest.raises(ThresholdUnavailableError, match="fpir"):
                check_rules(door, engine)
