"""The demo end to end, on the default bundle and the real photographs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qcface_sdk.demo.report import CHANGES, STRANGER, STRANGER_WALK, WALK, Report
from qcface_sdk.demo.scene import count_steps, run_demo
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import InputError, ThresholdUnavailableError
from qcface_sdk.evaluation.ladder import KINDS, LEVELS
from qcface_sdk.results import Outcome


def test_run_demo_recognises_the_enrolled_photograph(report: Report) -> None:
    clean = report.group(CHANGES)[0]
    assert clean.outcome is Outcome.ACCEPT
    assert clean.similarity == pytest.approx(1.0, abs=1e-4)
    assert clean.result.subject == "eileen-collins"


def test_run_demo_never_accepts_the_stranger(report: Report) -> None:
    shots = report.group(STRANGER, STRANGER_WALK)
    assert len(shots) == 11
    assert not any(shot.outcome is Outcome.ACCEPT for shot in shots)
    assert report.problems == ()


def test_run_demo_recognises_a_near_face_of_the_walk(report: Report) -> None:
    walk = report.group(WALK)
    assert [shot.distance_m for shot in walk] == sorted((shot.distance_m for shot in walk), reverse=True)
    assert walk[-1].outcome is Outcome.ACCEPT


def test_run_demo_decides_by_the_engines_threshold(report: Report, demo_engine: FaceEngine) -> None:
    assert report.threshold == demo_engine.threshold(report.fmr)
    for shot in report.shots:
        assert shot.result.threshold == report.threshold
        if shot.outcome is Outcome.ACCEPT:
            assert shot.similarity >= report.threshold
            assert shot.quality >= report.retry_below


def test_run_demo_measures_every_kind_of_damage(report: Report) -> None:
    assert tuple(curve.kind for curve in report.curves) == KINDS
    for curve in report.curves:
        assert len(curve.qualities) == len(curve.similarities) == len(curve.crops) == LEVELS + 1
        assert curve.similarities[0] == pytest.approx(1.0, abs=1e-4)
        assert all(0 <= quality <= 100 for quality in curve.qualities)


def test_run_demo_notifies_as_often_as_counted(report: Report, notifications: list[int]) -> None:
    assert len(notifications) == count_steps(len(report.group(WALK)))


def test_run_demo_at_a_rate_without_threshold_is_refused(photographs: None, demo_engine: FaceEngine) -> None:
    with pytest.raises(ThresholdUnavailableError):
        run_demo(demo_engine, fmr=1e-12)


def test_run_demo_without_a_face_to_enrol_is_refused(photographs: None) -> None:
    with FaceEngine(min_face=500) as blind, pytest.raises(InputError, match="no face was found"):
        run_demo(blind)


def test_report_to_dict_is_plain_json(report: Report) -> None:
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert document["ok"] is True
    assert len(document["shots"]) == len(report.shots)
    assert document["shots"][0].keys() == {
        *("group", "name", "enrolled", "distance_m", "decision", "reason", "similarity", "quality", "magnitude"),
        "face_px",
    }


def test_report_problems_name_an_accepted_stranger(report: Report) -> None:
    accepted = report.group(CHANGES)[0].result
    shots = tuple(replace(s, result=accepted) if s.group == STRANGER else s for s in report.shots)
    problems = replace(report, shots=shots).problems
    assert len(problems) == 6
    assert problems[0] == "Grace Hopper was accepted: Her photograph"


def test_report_problems_name_a_person_not_recognised(report: Report) -> None:
    rejected = report.group(STRANGER)[0].result
    shots = (replace(report.shots[0], result=rejected), *report.shots[1:])
    assert "was not recognised" in replace(report, shots=shots).problems[0]


def test_report_pictures_are_those_that_were_searched(report: Report, demo_engine: FaceEngine) -> None:
    shot = report.group(WALK)[-1]
    again = demo_engine.get(shot.image)[0]
    np.testing.assert_allclose(again.embedding, shot.face.embedding, rtol=1e-4, atol=1e-4)
