"""The door's behaviour in a world where everybody is known by number; real networks are in test_door_on_video.py."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from door_scenes import CONTRACT, ListSink, Person, Relay, Scene, SceneEngine, SceneGallery
from qcface_sdk import CameraError, Gallery, GalleryError, OptionError, ThresholdUnavailableError
from qcface_sdk.camera import AllowList, Capture, CaptureState, CaptureStatus, Door, DoorRules, FrameFeed, Snapshots
from qcface_sdk.clock import steady_seconds
from qcface_sdk.events import DoorEvent, EventKind, Liveness
from qcface_sdk.results import Face, Identification, Outcome, Reason
from qcface_sdk.template import Template


class Check:
    """A liveness check that says what a test wants."""

    name = "check"
    threshold = 0.5

    def __init__(self, answer: Callable[[], float]) -> None:
        self.answer = answer
        self.asked = 0

    def score(self, image: np.ndarray, face: Face) -> float:
        self.asked += 1
        return self.answer()


def kinds(events: list[DoorEvent]) -> list[EventKind]:
    return [event.kind for event in events]


class StrictEngine(SceneEngine):
    """Recognises nobody at the rate of doors, everybody at ten times that rate."""

    def threshold(self, fmr: float) -> float:
        return 0.995 if fmr <= 1e-4 else 0.6


class CautiousEngine(SceneEngine):
    """Asks twice as much of fused templates."""

    def stretch(self, count: int | None) -> float:
        return 1.0 if count == 1 else 1.99


class TestDecisions:
    def test_someone_enrolled_is_accepted_once_and_the_door_opens_once(self) -> None:
        scene = Scene([Person(1, end=4)])
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        assert kinds(scene.events) == [EventKind.DECISION, EventKind.OPENED]
        assert [command.subject for command in scene.relay.commands] == ["p1"]
        assert scene.relay.commands[0].event_id == scene.events[0].id
        assert scene.sink.events == scene.events

    def test_accept_says_all_it_rests_on(self) -> None:
        scene = Scene([Person(1)])
        event = scene.play()[0]
        assert event.similarity is not None
        assert event.threshold is not None
        assert event.similarity >= event.threshold
        assert event.quality is not None
        assert event.quality >= scene.engine.retry_below
        assert (event.fmr, event.contract, event.track) == (1e-4, scene.engine.contract, 1)
        assert event.liveness is Liveness.NOT_CHECKED
        assert event.bbox is not None

    def test_pictures_stop_being_embedded_when_the_decision_is_made(self) -> None:
        scene = Scene([Person(1, end=4)])
        scene.play()
        assert 2 <= len(scene.engine.embedded) <= 4

    def test_a_stranger_is_rejected_after_enough_pictures_and_the_door_stays_shut(self) -> None:
        scene = Scene([Person(7, end=4)], rules=DoorRules(min_face=60, cooldown=10))
        scene.play()
        assert scene.decisions() == [("reject", None, ("below_threshold",))]
        assert scene.relay.commands == []
        assert scene.events[0].similarity is not None

    def test_nobody_enrolled_rejects(self) -> None:
        scene = Scene([Person(1)], enrolled=())
        scene.play()
        assert scene.decisions()[0] == ("reject", None, ("empty_gallery",))

    def test_a_rejected_person_is_judged_again_after_the_cooldown_and_not_for_ever(self) -> None:
        rules = DoorRules(min_face=60, cooldown=1.0, attempts=2)
        scene = Scene([Person(7, end=9)], seconds=9, rules=rules)
        scene.play()
        assert [outcome for outcome, *_ in scene.decisions()] == ["reject", "reject"]

    def test_someone_far_away_is_told_once_to_come_closer(self) -> None:
        scene = Scene([Person(1, size=40, end=4)])
        scene.play()
        assert scene.decisions() == [("retry", None, ("too_small",))]
        assert scene.events[0].advice == "come closer"
        assert scene.events[0].quality_reasons == ("too_small",)
        assert scene.engine.embedded == []

    def test_whoever_passes_too_far_away_and_too_quickly_leaves_one_line(self) -> None:
        scene = Scene([Person(1, size=40, end=1)])
        scene.play()
        assert scene.decisions() == [("retry", None, ("too_small",))]

    def test_a_flicker_of_the_detector_is_nothing(self) -> None:
        scene = Scene([Person(1, begin=1.0, end=1.1)])
        assert scene.play() == []

    def test_unrecognizable_pictures_are_a_retry_even_if_they_seem_to_match(self) -> None:
        scene = Scene([Person(1, magnitude=5.0, end=4)])
        scene.play()
        assert scene.relay.commands == []
        assert {outcome for outcome, *_ in scene.decisions()} == {"retry"}
        assert scene.decisions()[0][2] == ("low_quality",)

    def test_a_retry_for_quality_and_a_reject_say_what_is_wrong_with_the_picture(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        report = SimpleNamespace(reasons=("eyes_covered",), advice=("take off what covers the eyes",))
        monkeypatch.setattr("qcface_sdk.camera.decider.assess_faces", lambda image, faces: (report,))
        expected = ((Person(1, magnitude=5.0), "retry", report.advice[0]), (Person(7), "reject", None))
        for person, outcome, advice in expected:
            event = Scene([person]).play()[0]
            assert (event.outcome, event.quality_reasons, event.advice) == (outcome, ("eyes_covered",), advice)

    @staticmethod
    def search_by_fpir(scene: Scene, grey_searches: float) -> list[int]:
        """Let the gallery place the first searches in the grey zone; return how many were embedded at each search."""
        embedded: list[int] = []

        def identify(probe: Template, *, fpir: float) -> Identification:
            embedded.append(len(scene.engine.embedded))
            found = SceneGallery.identify(scene.gallery, probe, threshold=0.5)
            if len(embedded) > grey_searches:
                return found
            reason = Reason.BELOW_THRESHOLD | Reason.GREY_ZONE
            return replace(found, decision=Outcome.RETRY, reason=reason, fpir=fpir)

        scene.gallery.identify = identify  # type: ignore[assignment]
        return embedded

    def test_grey_zone_takes_all_pictures_then_asks_again_and_not_for_ever(self) -> None:
        rules = DoorRules(min_face=60, fpir=1e-3, max_pictures=5, attempts=3, patience=60)
        scene = Scene([Person(1, end=9)], seconds=9, rules=rules)
        searches = self.search_by_fpir(scene, float("inf"))
        scene.play()
        grey = ("below_threshold", "grey_zone")
        assert scene.decisions() == [("retry", None, grey), ("retry", None, grey), ("reject", None, grey)]
        assert scene.relay.commands == []
        assert searches == list(range(1, 3 * rules.max_pictures + 1))
        assert all(event.advice for event in scene.events[:2])

    @pytest.mark.parametrize("credential", ["none", "required"])
    @pytest.mark.parametrize("fmr", [None, 1e-4])
    def test_grey_zone_of_a_rate_of_comparisons_asks_again_and_not_for_ever(
        self, fmr: float | None, credential: str
    ) -> None:
        rules = DoorRules(min_face=60, fmr=fmr, max_pictures=4, attempts=2, patience=60, credential=credential)
        scene = Scene([Person(1, end=9)], seconds=9, rules=rules, engine=StrictEngine())
        if credential == "required":
            scene.door.present("p1")
        scene.play()
        grey = ("below_threshold", "grey_zone")
        assert scene.decisions() == [("retry", None, grey), ("reject", None, grey)]
        assert scene.events[0].advice == "look into the camera once more"
        assert scene.relay.commands == []

    def test_threshold_has_no_grey_zone_and_means_the_same_for_all_templates(self) -> None:
        rules = DoorRules(min_face=60, threshold=0.995, max_pictures=4)
        scene = Scene([Person(1, end=4)], rules=rules, engine=StrictEngine())
        scene.play()
        assert scene.decisions()[0] == ("reject", None, ("below_threshold",))
        scene = Scene([Person(1, end=4)], rules=DoorRules(min_face=60, threshold=0.5), engine=CautiousEngine())
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]

    @pytest.mark.parametrize("credential", ["none", "required"])
    def test_more_is_asked_of_fused_pictures(self, credential: str) -> None:
        rules = DoorRules(min_face=60, max_pictures=4, credential=credential)
        scene = Scene([Person(1, end=4)], rules=rules, engine=CautiousEngine())
        if credential == "required":
            scene.door.present("p1")
        scene.play()
        assert scene.relay.commands == []
        assert scene.events[0].outcome is Outcome.REJECT
        # The gallery does not say how many pictures are behind its templates in a search, so the most is asked.
        factor = 1.99 if credential == "required" else 1.99**2
        assert scene.events[0].threshold == min(1.0, 0.5 * factor)

    def test_grey_zone_is_left_when_more_pictures_decide(self) -> None:
        scene = Scene([Person(1, end=4)], rules=DoorRules(min_face=60, fpir=1e-3, max_pictures=8))
        searches = self.search_by_fpir(scene, 4)
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        assert len(scene.relay.commands) == 1
        # Those in the grey zone confirm nothing: two searches after them named the person.
        assert len(searches) == 6

    def test_whoever_leaves_in_the_grey_zone_is_told_so(self) -> None:
        scene = Scene([Person(1, end=0.5)], rules=DoorRules(min_face=60, fpir=1e-3))
        self.search_by_fpir(scene, float("inf"))
        scene.play()
        assert scene.decisions() == [("retry", None, ("grey_zone",))]
        assert scene.events[0].advice == "look into the camera once more"
        assert scene.events[0].quality_reasons == ()

    def test_approaching_person_is_accepted_soon_after_reaching_the_size(self) -> None:
        scene = Scene([Person(1, size=30, grows_to=120, end=4)])
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        accepted = scene.events[0]
        assert accepted.bbox is not None
        size = accepted.bbox[2] - accepted.bbox[0]
        # 60 pixels are reached at 1.33 s, growing by 22.5 pixels a second.
        assert 60 <= size <= 60 + 0.7 * 22.5

    def test_several_people_are_each_decided_on(self) -> None:
        people = [Person(1, at=(120, 180), end=4), Person(7, at=(320, 180), end=4), Person(3, at=(520, 180), end=4)]
        scene = Scene(people, rules=DoorRules(min_face=60, cooldown=9))
        scene.play()
        assert sorted(scene.decisions(), key=str) == sorted(
            [("accept", "p1", ()), ("accept", "p3", ()), ("reject", None, ("below_threshold",))], key=str
        )
        assert sorted(command.subject for command in scene.relay.commands) == ["p1", "p3"]

    def test_the_same_person_is_not_accepted_twice_within_the_cooldown(self) -> None:
        people = [Person(1, at=(120, 180), end=1.2), Person(1, begin=1.3, at=(500, 180), end=4)]
        scene = Scene(people)
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        assert len(scene.relay.commands) == 1

    def test_the_budget_bounds_the_embeddings(self) -> None:
        people = [Person(7 + i, at=(80 + 120 * i, 180), end=4) for i in range(5)]
        rules = DoorRules(min_face=60, embeddings_per_second=3, enough_fnmr=1e-6)
        scene = Scene(people, rules=rules)
        scene.play()
        assert len(scene.engine.embedded) <= 3 * 4 + 1


class TestTracks:
    def test_a_second_behind_a_pillar_is_still_the_same_person(self) -> None:
        people = [Person(1, at=(100, 180), to=(200, 180), hidden=(0.35, 1.35), end=4)]
        scene = Scene(people, rules=DoorRules(min_face=60, min_pictures=5, confirmations=4))
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        assert scene.events[0].track == 1

    def test_somebody_else_in_the_same_place_is_not_accepted_on_the_first_ones_evidence(self) -> None:
        people = [Person(1, end=0.5), Person(7, begin=0.55, end=4)]
        rules = DoorRules(min_face=60, min_pictures=6, confirmations=5, max_pictures=8)
        scene = Scene(people, rules=rules)
        scene.play()
        assert "accept" not in [outcome for outcome, *_ in scene.decisions()]
        assert scene.decisions()[-1][0] == "reject"
        assert scene.events[-1].track == 2

    def test_somebody_who_comes_out_elsewhere_is_recognised_as_the_same_track(self) -> None:
        people = [Person(7, at=(100, 180), end=1.2), Person(7, begin=1.5, at=(520, 120), end=2.2)]
        rules = DoorRules(min_face=60, cooldown=30, attempts=1)
        scene = Scene(people, seconds=3.0, rules=rules)
        scene.play()
        # Rejected for good before the occlusion, and so not judged again after it.
        assert scene.decisions() == [("reject", None, ("below_threshold",))]
        assert scene.events[0].track == 1


class TestWhoAsks:
    def test_outside_the_zone_nobody_is_decided_on(self) -> None:
        zone = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
        people = [Person(1, at=(120, 180), end=4), Person(2, at=(500, 180), end=4)]
        scene = Scene(people, rules=DoorRules(min_face=60, zone=zone))
        scene.play()
        assert scene.decisions() == [("accept", "p2", ())]

    def test_only_the_largest(self) -> None:
        people = [Person(1, at=(120, 180), size=70, end=4), Person(2, at=(450, 180), size=120, end=4)]
        scene = Scene(people, rules=DoorRules(min_face=60, focus="largest"))
        scene.play()
        assert scene.decisions() == [("accept", "p2", ())]

    def test_only_the_nearest_to_a_point(self) -> None:
        people = [Person(1, at=(120, 180), size=70, end=4), Person(2, at=(450, 180), size=120, end=4)]
        scene = Scene(people, rules=DoorRules(min_face=60, focus="nearest", focus_point=(0.1, 0.5)))
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]

    def test_only_who_comes_nearer(self) -> None:
        people = [
            Person(1, at=(120, 180), size=100, end=4),
            Person(2, at=(500, 180), size=70, grows_to=140, end=4),
            Person(3, at=(310, 180), size=140, grows_to=70, end=4),
        ]
        scene = Scene(people, rules=DoorRules(min_face=60, approaching=True))
        scene.play()
        assert scene.decisions() == [("accept", "p2", ())]


class TestTailgating:
    def test_two_pass_on_one_accept(self) -> None:
        people = [
            Person(1, at=(220, 180), size=90, grows_to=150, end=2.0),
            Person(7, at=(450, 180), size=70, grows_to=140, end=2.5),
        ]
        scene = Scene(people, seconds=5)
        scene.play()
        tail = [event for event in scene.events if event.kind is EventKind.TAILGATING]
        assert [event.track for event in tail] == [2]
        assert len(scene.relay.commands) == 1

    def test_who_turns_back_has_not_passed(self) -> None:
        people = [
            Person(1, at=(220, 180), size=90, grows_to=150, end=2.0),
            Person(7, at=(450, 180), size=140, grows_to=65, end=2.5),
        ]
        scene = Scene(people, seconds=5)
        scene.play()
        assert EventKind.TAILGATING not in kinds(scene.events)

    def test_two_accepted_may_pass(self) -> None:
        people = [Person(i, at=(150 + 150 * i, 180), size=90, grows_to=150, end=2.0) for i in (1, 2)]
        scene = Scene(people, seconds=5)
        scene.play()
        assert EventKind.TAILGATING not in kinds(scene.events)


class TestCredentials:
    def test_required_means_no_search_and_no_accept_without_one(self) -> None:
        scene = Scene([Person(1, end=4)], rules=DoorRules(min_face=60, credential="required"))
        scene.play()
        assert scene.decisions() == [("retry", None, ("no_credential",))]
        assert scene.gallery.searches == 0

    def test_own_badge_opens_and_another_ones_does_not(self) -> None:
        for badge, outcome in (("p1", "accept"), ("p2", "reject"), ("nobody", "reject")):
            scene = Scene([Person(1)], rules=DoorRules(min_face=60, credential="required", cooldown=9))
            scene.door.present(badge)
            scene.play()
            assert scene.decisions()[0][0] == outcome, badge
            assert scene.gallery.searches == 0

    @pytest.mark.parametrize("credential", ["optional", "required"])
    def test_badge_of_somebody_whose_time_is_over_does_not_open(self, credential: str, tmp_path: Path) -> None:
        rules = DoorRules(min_face=60, credential=credential, cooldown=9, threshold=-1.0)
        scene = Scene([Person(1)], rules=rules)
        with Gallery.open(tmp_path / "people.db", CONTRACT) as people:
            people.enroll("p1", scene.gallery.get("p1")[0], expires=1000.0)
            scene.door.reload(gallery=people)
            scene.door.present("p1")
            scene.play()
        assert scene.decisions() == [("reject", None, ("empty_gallery",))]
        assert scene.relay.commands == []

    def test_door_without_credentials_takes_none(self) -> None:
        scene = Scene([Person(1)])
        with pytest.raises(OptionError, match="takes no credentials"):
            scene.door.present("p2")
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]

    def test_a_credential_serves_one_accept(self) -> None:
        people = [Person(1, end=1.5), Person(1, begin=3.5, end=6)]
        rules = DoorRules(min_face=60, credential="required", cooldown=1.0)
        scene = Scene(people, seconds=6.2, rules=rules)
        scene.door.present("p1")
        scene.play()
        assert [outcome for outcome, *_ in scene.decisions()] == ["accept", "retry"]

    def test_a_credential_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        rules = DoorRules(min_face=60, credential="required", credential_seconds=0.01)
        scene = Scene([Person(1)], rules=rules)
        scene.door.present("p1")
        time.sleep(0.02)
        scene.play()
        assert {outcome for outcome, *_ in scene.decisions()} == {"retry"}

    def test_optional_searches_without_one(self) -> None:
        scene = Scene([Person(1)], rules=DoorRules(min_face=60, credential="optional"))
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        with pytest.raises(OptionError):
            scene.door.present("")


class TestLivenessAndAccess:
    def test_living_faces_are_accepted_and_the_event_says_so(self) -> None:
        check = Check(lambda: 0.9)
        scene = Scene([Person(1)], options={"liveness": check})
        event = scene.play()[0]
        assert (event.outcome, event.liveness) == (Outcome.ACCEPT, Liveness.LIVE)
        assert check.asked >= 2

    def test_a_photograph_is_rejected(self) -> None:
        scene = Scene([Person(1)], options={"liveness": Check(lambda: 0.2)})
        event = scene.play()[0]
        assert (event.outcome, event.reasons, event.liveness) == (
            Outcome.REJECT,
            ("presentation_attack",),
            Liveness.SPOOF,
        )
        assert scene.relay.commands == []

    def test_strangers_cost_no_liveness_check(self) -> None:
        check = Check(lambda: 0.9)
        Scene([Person(7)], options={"liveness": check}).play()
        assert check.asked == 0

    def test_access_rule_may_refuse_and_its_word_is_the_reason(self) -> None:
        scene = Scene([Person(1)], options={"access": AllowList({"p2"})})
        scene.play()
        assert scene.decisions() == [("reject", "p1", ("not_on_list",))]
        assert scene.relay.commands == []


def boom(*_: object, **__: object) -> Any:
    raise RuntimeError("secret detail rtsp://me:topsecret@cam")


def known_boom(*_: object, **__: object) -> Any:
    raise GalleryError("gallery file is gone; restore it")


def slow(*_: object, **__: object) -> Any:
    time.sleep(0.06)
    return 0.9


class Raises:
    """Stands for any part of a door; whatever is asked of it fails."""

    def __init__(self, failure: Callable[..., Any]) -> None:
        self.failure = failure

    name, threshold = "raises", 0.5

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self.failure


STAGES = ["tamper", "track", "choose", "embed", "fuse", "search", "liveness", "access", "snapshot", "emit"]
"""All but "explain", which no accept passes through; it has a test of its own."""


class TestFailClosed:
    def break_stage(
        self, scene: Scene, stage: str, failure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from qcface_sdk.camera import people

        door: Any = scene.door
        if stage == "tamper":
            monkeypatch.setattr(door._tamper, "update", failure)
        elif stage == "track":
            monkeypatch.setattr(door._people._tracker, "update", failure)
        elif stage == "choose":
            monkeypatch.setattr(people, "assess_detected", failure)
        elif stage == "embed":
            monkeypatch.setattr(scene.engine, "embed_faces", failure)
        elif stage == "fuse":
            monkeypatch.setattr("qcface_sdk.fusion.Fusion.add", failure)
        elif stage == "search":
            monkeypatch.setattr(scene.gallery, "identify", failure)

    def scene(self, stage: str, failure: Callable[..., Any], **rules: Any) -> Scene:
        options: dict[str, Any] = {"liveness": Check(lambda: 0.9), "access": AllowList({"p1"})}
        if stage == "liveness":
            options["liveness"] = Check(failure)
        if stage == "access":
            options["access"] = Raises(failure)
        if stage == "snapshot":
            options["snapshots"] = Raises(failure)
        if stage == "emit":
            options["sink"] = Raises(failure)
        return Scene([Person(1, end=3)], seconds=3, rules=DoorRules(min_face=60, **rules), options=options)

    @pytest.mark.parametrize("failure", [boom, known_boom])
    @pytest.mark.parametrize("stage", STAGES)
    def test_a_failing_stage_never_opens(
        self, stage: str, failure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene = self.scene(stage, failure)
        self.break_stage(scene, stage, failure, monkeypatch)
        events = scene.play()
        assert scene.relay.commands == []
        assert not any(event.accepted for event in events)
        faults = [event for event in events if event.kind is EventKind.FAULT]
        assert [event.reasons for event in faults] == [(f"{stage}_failed",)]
        assert "topsecret" not in str([event.to_dict() for event in events])
        assert scene.door.status.faults.keys() == {stage}
        assert scene.door.state == "fault"

    def test_a_reject_that_cannot_be_explained_is_a_fault(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("qcface_sdk.camera.decider.assess_faces", boom)
        scene = Scene([Person(7)])
        assert [event.reasons for event in scene.play() if event.kind is EventKind.FAULT] == [("explain_failed",)]
        assert scene.relay.commands == []

    @pytest.mark.parametrize("stage", ["search", "liveness", "access", "embed"])
    def test_a_stage_that_takes_too_long_never_opens(self, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = self.scene(stage, slow, stage_timeout=0.05)
        if stage == "search":
            found = scene.gallery.identify
            monkeypatch.setattr(scene.gallery, "identify", lambda *a, **k: (slow(), found(*a, **k))[1])
        if stage == "embed":
            embed = scene.engine.embed_faces
            monkeypatch.setattr(scene.engine, "embed_faces", lambda *a, **k: (slow(), embed(*a, **k))[1])
        if stage == "access":
            scene.door._access.failure = lambda *a, **k: (slow(), None)[1]  # type: ignore[attr-defined, union-attr]
        events = scene.play()
        assert scene.relay.commands == []
        assert not any(event.accepted for event in events)
        assert any("took" in str(event.message) for event in events)

    @pytest.mark.parametrize("answer", [float("nan"), float("inf"), -0.1, 1.1, None, "live"])
    def test_a_liveness_score_that_is_none_never_opens(self, answer: Any) -> None:
        scene = Scene([Person(1)], options={"liveness": Check(lambda: answer)})
        scene.play()
        assert scene.relay.commands == []
        assert EventKind.FAULT in kinds(scene.events)

    def test_a_failing_relay_is_told_and_not_tried_again(self) -> None:
        scene = Scene([Person(1)])
        scene.relay.fail = boom
        scene.play()
        assert kinds(scene.events) == [EventKind.DECISION, EventKind.NOT_OPENED]
        assert scene.relay.commands == []

    def test_old_pictures_never_open(self) -> None:
        scene = Scene([Person(1)])
        scene.source.late = 1.5
        scene.play()
        assert scene.relay.commands == []
        assert not any(event.accepted for event in scene.events)
        assert scene.door.status.stale > 0

    def test_an_open_command_that_waited_for_the_log_expires(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = Scene([Person(1)], rules=DoorRules(min_face=60, max_age=0.05))
        scene.sink.fail = lambda event: time.sleep(0.08)
        scene.play()
        assert scene.relay.commands == []
        assert kinds(scene.events)[:2] == [EventKind.DECISION, EventKind.NOT_OPENED]

    def test_what_was_damaged_does_not_count_when_the_stage_works_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        scene = Scene([Person(1, end=4)])
        found, calls = scene.gallery.identify, []

        def flaky(*a: Any, **k: Any) -> Any:
            calls.append(len(scene.engine.embedded))
            if len(calls) in (2, 3):
                raise GalleryError("locked")
            return found(*a, **k)

        monkeypatch.setattr(scene.gallery, "identify", flaky)
        scene.play()
        assert kinds(scene.events) == [
            EventKind.FAULT,
            EventKind.RECOVERED,
            EventKind.DECISION,
            EventKind.OPENED,
        ]
        assert len(calls) == 5
        assert scene.door.status.faults == {}

    def test_accepts_that_could_not_be_stored_are_not_shown_either(self) -> None:
        scene = Scene([Person(1)])
        scene.sink.fail = boom
        scene.play()
        assert kinds(scene.events) == [EventKind.FAULT]

    def test_the_wall_clock_may_jump(self, monkeypatch: pytest.MonkeyPatch) -> None:
        jumps = iter([0.0, 86400.0, -86400.0 * 365] * 1000)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: max(0.0, real() + next(jumps)))
        scene = Scene([Person(1)])
        scene.play()
        assert scene.decisions() == [("accept", "p1", ())]
        assert len(scene.relay.commands) == 1


class TestTamper:
    @pytest.mark.parametrize(("tone", "reason"), [(3, "black"), (250, "blinded")])
    def test_a_covered_camera_is_told_and_nobody_is_accepted(self, tone: int, reason: str) -> None:
        scene = Scene([Person(1, begin=4, end=6)], seconds=9)
        for number in range(75):
            scene.source.images[number] = np.full_like(scene.source.images[0], tone)
        scene.play()
        assert kinds(scene.events)[:2] == [EventKind.TAMPER, EventKind.RECOVERED]
        assert scene.events[0].reasons == (reason,)
        assert len(scene.relay.commands) == 0

    def test_a_frozen_picture_is_told_and_leads_to_no_accept(self) -> None:
        scene = Scene([Person(1, begin=3, end=6)], seconds=6, rules=DoorRules(min_face=60, frozen_seconds=2))
        scene.source.images = [scene.source.images[0]] * len(scene.source.images)
        scene.play()
        assert scene.events[0].kind is EventKind.TAMPER
        assert scene.events[0].reasons == ("frozen",)
        assert scene.relay.commands == []


class TestCamera:
    def test_loss_and_return_are_told_once_each(self) -> None:
        scene = Scene([Person(1)])
        states = iter([CaptureState.RUNNING] * 3 + [CaptureState.LOST] * 5 + [CaptureState.RUNNING] * 100)
        original = type(scene.source).status.fget  # type: ignore[attr-defined]

        class Flaky(type(scene.source)):  # type: ignore[misc]
            @property
            def status(self) -> CaptureStatus:
                if self.state is CaptureState.ENDED:
                    return original(self)  # type: ignore[no-any-return]
                return CaptureStatus(next(states), 0, 0, 0, 0, 1, 0, 0.0, "cable pulled")

        scene.source.__class__ = Flaky
        scene.play()
        assert kinds(scene.events).count(EventKind.CAMERA_LOST) == 1
        assert kinds(scene.events).count(EventKind.CAMERA_BACK) == 1

    def test_a_file_that_is_none_ends_the_iteration_with_its_error(self, tmp_path: Path) -> None:
        engine = SceneEngine()
        sink = ListSink()
        door = Door(engine, SceneGallery(engine, [1]), tmp_path / "no.mp4", sink=sink)  # type: ignore[arg-type]
        with pytest.raises(CameraError, match=r"no\.mp4"):
            list(door)
        assert kinds(sink.events) == [EventKind.CAMERA_LOST]

    def test_a_name_that_no_event_could_carry_is_refused_at_once(self) -> None:
        engine = SceneEngine()
        with pytest.raises(ValueError, match="door"):
            Door(engine, SceneGallery(engine, [1]), 0, name="front door/1")  # type: ignore[arg-type]


class TestUse:
    def test_callbacks_get_every_event(self) -> None:
        scene = Scene([Person(1)])
        one: list[DoorEvent] = []
        two: list[DoorEvent] = []
        scene.door.run(one.append, two.append)
        assert one == two == scene.sink.events
        assert len(one) == 2

    def test_looks_come_with_every_picture_whether_or_not_anything_happens(self) -> None:
        scene = Scene([Person(1)])
        looks = [(events, scene.door.view) for events in scene.door.looks()]
        assert len(looks) >= len(scene.source.images)
        assert looks[0][1] is not None
        assert [event for events, _ in looks for event in events] == scene.sink.events

    def test_asyncio(self) -> None:
        scene = Scene([Person(1)])

        async def watch() -> list[DoorEvent]:
            return [event async for event in scene.door]

        assert kinds(asyncio.run(watch())) == [EventKind.DECISION, EventKind.OPENED]

    def test_asyncio_raises_what_the_door_raises_and_stops_when_left(self, tmp_path: Path) -> None:
        engine = SceneEngine()

        async def broken() -> None:
            async for _ in Door(engine, SceneGallery(engine, [1]), tmp_path / "no.mp4"):  # type: ignore[arg-type]
                pass

        with pytest.raises(CameraError):
            asyncio.run(broken())

        async def leave_early() -> bool:
            scene = Scene([Person(1), Person(2, at=(100, 100))])
            stream = aiter(scene.door)
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]
            return scene.source.closed

        assert asyncio.run(leave_early())

    def test_close_from_another_thread_ends_the_iteration(self) -> None:
        feed = FrameFeed()
        engine = SceneEngine()
        door = Door(engine, SceneGallery(engine, [1]), feed)  # type: ignore[arg-type]
        threading.Timer(0.1, door.close).start()
        assert list(door) == []

    def test_view_shows_the_newest_picture_with_its_people(self) -> None:
        scene = Scene([Person(1), Person(7, at=(500, 180), size=80)])
        assert scene.door.view is None
        assert scene.door.state == "idle"
        for _ in scene.door:
            break
        view = scene.door.view
        assert view is not None
        labels = {track.track: track.label for track in view.tracks}
        assert labels[1] == "p1"
        drawn = view.draw()
        assert drawn.shape == view.frame.image.shape
        assert (drawn != view.frame.image).any()

    def test_status_counts_and_times(self) -> None:
        scene = Scene([Person(1)])
        scene.play()
        status = scene.door.status.to_dict()
        assert status["counts"] == {"accept": 1, "opened": 1}
        assert {"track", "choose", "embed", "search", "frame"} <= status["stages"].keys()
        assert status["stages"]["frame"]["runs"] == len(scene.source.images)

    def test_reload_takes_another_gallery_from_the_next_picture_on(self) -> None:
        scene = Scene([Person(1, end=4)], enrolled=(2,), rules=DoorRules(min_face=60, cooldown=0.5))
        events = iter(scene.door)
        assert next(events).outcome is Outcome.REJECT
        scene.door.reload(gallery=SceneGallery(scene.engine, [1]))  # type: ignore[arg-type]
        rest = list(events)
        assert kinds(rest)[0] is EventKind.RELOADED
        assert rest[1].subject == "p1"

    @pytest.mark.parametrize("failing", ["raises", "late"])
    def test_reload_that_fails_decides_nothing_and_is_tried_again(
        self, failing: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scene = Scene([Person(1, begin=0.5, end=4)])
        other, tried, waited = SceneEngine(), set(), [0.0]

        def threshold(fmr: float) -> float:
            tried.add(scene.source.number)
            if scene.source.number <= 24:
                if failing == "raises":
                    raise ThresholdUnavailableError("not measured")
                waited[0] += 2.0
            return 0.5

        monkeypatch.setattr(other, "threshold", threshold)
        monkeypatch.setattr("qcface_sdk.camera.stages.steady_seconds", lambda: steady_seconds() + waited[0])
        scene.door.reload(engine=other, gallery=SceneGallery(other, [2]))  # type: ignore[arg-type]
        scene.play()
        assert tried == set(range(1, 26))
        assert kinds(scene.events)[:3] == [EventKind.FAULT, EventKind.RELOADED, EventKind.RECOVERED]
        assert scene.events[0].reasons == ("reload_failed",)
        assert {outcome for outcome, *_ in scene.decisions()} == {"reject"}, "the old gallery knows this person"
        assert scene.relay.commands == []
        assert not scene.door.status.faults

    def test_reload_asked_for_during_another_is_not_lost(self) -> None:
        scene = Scene([Person(1, end=4)], enrolled=(2,))
        other = SceneEngine()
        last = SceneGallery(other, [1])

        def threshold(fmr: float) -> float:
            scene.door.reload(gallery=last)  # type: ignore[arg-type]
            del other.threshold  # type: ignore[attr-defined]
            return 0.5

        other.threshold = threshold  # type: ignore[method-assign]
        other.magnitude = scene.engine.magnitude
        scene.door.reload(engine=other)  # type: ignore[arg-type]
        scene.play()
        assert kinds(scene.events)[:2] == [EventKind.RELOADED, EventKind.RELOADED]
        assert ("accept", "p1", ()) in scene.decisions()

    def test_snapshots_only_where_configured_and_bystanders_are_cells(self, tmp_path: Path) -> None:
        people = [Person(1, at=(150, 180)), Person(7, at=(450, 180), size=80)]
        scene = Scene(people, options={"snapshots": Snapshots(tmp_path / "pictures")})
        event = next(event for event in scene.play() if event.accepted)
        assert event.snapshot is not None
        saved = cv2.imread(event.snapshot)
        box = slice(150, 210), slice(425, 475)
        subject = slice(150, 210), slice(125, 175)
        assert len(np.unique(saved[box].reshape(-1, 3) // 16, axis=0)) < 60
        assert len(np.unique(saved[subject].reshape(-1, 3) // 16, axis=0)) > 500
        assert (Path(event.snapshot).stat().st_mode & 0o777) == 0o600
        plain = Scene(people)
        plain.play()
        assert all(event.snapshot is None for event in plain.events)

    def test_grey_pictures_are_accepted_and_the_event_says_so(self) -> None:
        scene = Scene([Person(1)])
        scene.source.images = [
            cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for image in scene.source.images
        ]
        event = scene.play()[0]
        assert event.outcome is Outcome.ACCEPT
        assert event.quality_reasons == ("grey",)

    def test_time_of_events_is_utc_now(self) -> None:
        scene = Scene([Person(1)])
        assert abs((datetime.now(timezone.utc) - scene.play()[0].time).total_seconds()) < 60


def test_relay_and_capture_are_what_the_door_says(tmp_path: Path) -> None:
    from qcface_sdk.actuators import Actuator
    from qcface_sdk.camera import FrameSource
    from qcface_sdk.events import EventSink

    relay: Actuator = Relay()
    sink: EventSink = ListSink()
    source: FrameSource = Capture(tmp_path / "x.mp4")
    assert isinstance(relay, Actuator)
    assert isinstance(sink, EventSink)
    assert source.name
