from __future__ import annotations

from typing import Any

import pytest

from qcface_sdk.engine import FaceEngine


def test_about_tells_model_thresholds_and_role(api: Any, engine: FaceEngine) -> None:
    about = api.enroller.get("/v1/about").json()
    assert about["contract"] == engine.contract
    assert about["role"] == "enrol"
    assert about["subjects"] == 0
    assert [row["fmr"] for row in about["thresholds"]] == [row.fmr for row in engine.threshold_rows]
    assert about["enroll_below"] == engine.enroll_below


@pytest.mark.parametrize("fmr", [1e-3, 3e-4])
def test_threshold_is_that_of_the_engine(api: Any, engine: FaceEngine, fmr: float) -> None:
    row = api.reader.get("/v1/threshold", params={"fmr": fmr}).json()
    assert row["threshold"] == engine.threshold(fmr)
    assert row["interval"][0] <= row["threshold"] <= row["interval"][1]


@pytest.mark.parametrize("fmr", ["1e-12", "0", "2", "nan"])
def test_unsupported_rate_is_refused(api: Any, fmr: str) -> None:
    assert api.reader.get("/v1/threshold", params={"fmr": fmr}).status_code == 422


def test_fault_tells_nothing_and_lets_nobody_in(api: Any, monkeypatch: pytest.MonkeyPatch, eileen: bytes) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(type(api.state.gallery), "identify", broken)
    answer = api.reader.post("/v1/identify", files={"image": eileen})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "accept" not in answer.text
