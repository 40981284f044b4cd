"""From the pictures of one person to a verdict. Nothing here opens anything; whatever fails raises `StageError`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from enum import Enum, auto
from typing import Any, Protocol

import numpy as np

from qcface_sdk.camera.access import AccessRule
from qcface_sdk.camera.case import Case, Verdict
from qcface_sdk.camera.frame import Frame
from qcface_sdk.camera.liveness import LivenessCheck
from qcface_sdk.camera.prequality import PreQuality
from qcface_sdk.camera.rules import DoorRules
from qcface_sdk.camera.stages import StageError, Stages
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import DegenerateLandmarksError, UnknownSubjectError
from qcface_sdk.events import Liveness
from qcface_sdk.matching import ask_more, grey_zone_from
from qcface_sdk.quality import assess_faces
from qcface_sdk.results import Candidate, Face, Identification, Outcome, Reason
from qcface_sdk.template import Template

DEFAULT_FMR = 1e-4
"""Where the rules name no rate."""

ADVICE = {
    "too_small": "come closer",
    "cut_off": "step into the middle of the picture",
    "turned_away": "look into the camera",
    "tilted": "hold your head straight",
    "too_dark": "more light is needed",
    "too_bright": "step out of the glare",
    "low_contrast": "look into the camera",
    "blurred": "hold still for a moment",
    "low_quality": "look into the camera and hold still",
    "no_credential": "present your badge",
    "grey_zone": "look into the camera once more",
}


class Fit(Enum):
    """How a face fits what is known of the person it was tracked as."""

    USED = auto()
    """It is evidence now."""
    UNUSABLE = auto()
    """It says nothing, or does not fit: perhaps a bad picture."""
    STRANGER = auto()
    """It does not fit again: somebody else stands there."""


class PeopleIndex(Protocol):
    """What a door needs of a gallery; `Gallery` is one."""

    def identify(self, probe: Template, *, threshold: float | None = None, fpir: float | None = None) -> Identification:
        """Search (1:N), by one of the two."""

    def get(self, subject: str) -> Sequence[Template]:
        """Return a subject's templates, for comparing with a presented credential (1:1); none if its time is over."""


class Decider:
    """Gathers evidence in cases and decides on them. Used by the door's thread alone."""

    def __init__(
        self,
        engine: FaceEngine,
        gallery: PeopleIndex,
        rules: DoorRules,
        stages: Stages,
        *,
        door: str,
        liveness: LivenessCheck | None = None,
        access: AccessRule | None = None,
    ) -> None:
        self._engine, self._gallery, self._rules, self._stages = engine, gallery, rules, stages
        self._door, self._liveness, self._access = door, liveness, access
        # Also where searches go by FPIR: one comparison with a credential's owner is a matter of FMR.
        self.one_to_one = rules.threshold if rules.threshold is not None else engine.threshold(rules.fmr or DEFAULT_FMR)
        by_rate = rules.threshold is None
        self._grey_from = grey_zone_from(engine.threshold, rules.fmr or DEFAULT_FMR) if by_rate else None

    def worth_embedding(self, case: Case, quality: PreQuality, time: float) -> bool:
        """Return whether a picture can improve what is known of a person."""
        rules = self._rules
        if time - case.last_embedding < rules.between_embeddings:
            return False
        # The best pictures so far set the bar, but not so high that one lucky picture shuts out all others.
        return case.fusion.count < rules.min_pictures or quality.score >= 0.7 * case.best_score

    def embed(self, frame: Frame, cases: Sequence[Case]) -> list[Face | None]:
        """Return the embedded faces of cases in one run; ``None`` where landmarks fix no face."""

        def run() -> list[Face | None]:
            faces = [case.face for case in cases]
            try:
                return list(self._engine.embed_faces(frame.image, faces))
            except DegenerateLandmarksError:
                return [self._embed_one(frame, face) for face in faces]

        return self._stages.run("embed", run)

    def _embed_one(self, frame: Frame, face: Face) -> Face | None:
        try:
            return self._engine.embed_faces(frame.image, [face])[0]
        except DegenerateLandmarksError:
            return None

    def gather(self, case: Case, face: Face | None, quality: PreQuality, frame: Frame) -> Fit:
        """Add an embedded face to a case; return how it fits."""
        case.last_embedding = frame.time
        case.embedded += 1
        case.best_score = max(case.best_score, quality.score)
        if face is None:
            case.problems["turned_away"] += 1
            return Fit.UNUSABLE
        before = case.fusion.count
        if self._stages.run("fuse", lambda: case.fusion.add(face, frame.wall.timestamp())):
            case.strangers, case.track.rejoined = 0, False
            return Fit.USED
        case.name(None)
        case.strangers += before > 0
        return Fit.STRANGER if case.strangers >= (1 if case.track.rejoined else 2) else Fit.UNUSABLE

    def same_person(self, a: Case, b: Case) -> bool:
        """Return whether two tracks show one person, as far as one comparison can say."""
        if not a.fusion.count or not b.fusion.count:
            return False

        def run() -> bool:
            one, other = a.fusion.template(), b.fusion.template()
            return one.similarity(other) >= self._limit(one, other.count)

        return self._stages.run("fuse", run)

    def decide(self, case: Case, face: Face, frame: Frame, credential: str | None) -> Verdict | None:
        """Return what the evidence says, ``None`` while it says nothing yet."""
        if not case.fusion.count:
            return None
        rules, quality = self._rules, float(case.fusion.quality)
        template = self._stages.run("fuse", case.fusion.template)
        if credential is None:
            found = self._stages.run("search", lambda: self._search(template))
        else:
            found = self._stages.run("search", lambda: self._compare(template, credential))
        best = found.candidates[0] if found.candidates else None
        case.similarity = None if best is None else best.similarity
        if found.contract is not None and found.contract != self._engine.contract:
            raise StageError("search", "search failed: the gallery answered for another model")
        recognised = found.decision is Outcome.ACCEPT and quality >= self._engine.retry_below
        times = case.name(found.subject if recognised else None)
        about = {
            "similarity": case.similarity,
            "threshold": found.threshold,
            "fmr": self._fmr(credential),
            "quality": quality,
            "quality_reasons": ("grey",) if case.grey else (),
        }
        if recognised and found.subject is not None:
            if case.fusion.count < rules.min_pictures or times < rules.confirmations:
                return None
            return self._recognised(case, found.subject, face, frame, about)
        verdict = self._not_recognised(case, found, quality, about)
        return None if verdict is None else self._explained(verdict, face, frame)

    def _fmr(self, credential: str | None) -> float | None:
        """Return the false-match rate that a decision rests on, where it rests on one."""
        rules = self._rules
        if rules.threshold is not None or (rules.fpir is not None and credential is None):
            return None
        return rules.fmr or DEFAULT_FMR

    def _recognised(self, case: Case, subject: str, face: Face, frame: Frame, about: dict[str, Any]) -> Verdict | None:
        liveness = self._check_liveness(case, face, frame)
        if liveness is None:
            return None
        if liveness is Liveness.SPOOF:
            return Verdict(Outcome.REJECT, ("presentation_attack",), subject=subject, liveness=liveness, **about)
        if self._access is not None:
            access, now = self._access, datetime.now(timezone.utc)
            refusal = self._stages.run("access", lambda: access.permits(subject, self._door, now))
            if refusal is not None:
                return Verdict(Outcome.REJECT, (str(refusal),), subject=subject, liveness=liveness, **about)
        return Verdict(Outcome.ACCEPT, subject=subject, liveness=liveness, **about)

    def _not_recognised(
        self, case: Case, found: Identification, quality: float, about: dict[str, Any]
    ) -> Verdict | None:
        rules, last = self._rules, case.embedded >= self._rules.max_pictures
        if quality < self._engine.retry_below:
            case.problems["low_quality"] += 1
            return Verdict(Outcome.RETRY, ("low_quality",), ADVICE["low_quality"], **about) if last else None
        if found.decision is Outcome.ACCEPT:
            return None
        reasons = found.reason.names() or ("below_threshold",)
        if found.decision is Outcome.RETRY:
            # The pictures that this attempt may still take can decide.
            case.problems[_obstacle(reasons)] += 1
            return self._asked_again(case, reasons, about) if last else None
        sure = case.fusion.count >= rules.min_pictures and case.fusion.enough(rules.enough_fnmr)
        return Verdict(Outcome.REJECT, reasons, **about) if sure or last else None

    def _asked_again(self, case: Case, reasons: tuple[str, ...], about: dict[str, Any]) -> Verdict:
        word = _obstacle(reasons)
        if word == "grey_zone" and case.failed + 1 >= self._rules.attempts:
            # Every try is one more chance for a stranger who looks alike, so that tries come to an end.
            return Verdict(Outcome.REJECT, reasons, **about)
        return Verdict(Outcome.RETRY, reasons, ADVICE[word], **about)

    def _explained(self, verdict: Verdict, face: Face, frame: Frame) -> Verdict:
        """Add what is wrong with the newest picture, and what the person can do about it."""
        report = self._stages.run("explain", lambda: assess_faces(frame.image, [face])[0])
        words = tuple(dict.fromkeys((*report.reasons, *verdict.quality_reasons)))
        advice = report.advice[0] if verdict.advice is not None and report.advice else verdict.advice
        return replace(verdict, quality_reasons=words, advice=advice)

    def _check_liveness(self, case: Case, face: Face, frame: Frame) -> Liveness | None:
        check = self._liveness
        if check is None:
            return Liveness.NOT_CHECKED
        score = self._stages.run("liveness", lambda: float(check.score(frame.image, face)))
        if not (math.isfinite(score) and 0 <= score <= 1):
            raise StageError("liveness", f"liveness failed: {check.name} gave {score!r}, not a number in 0..1")
        case.live_scores.append(score)
        if len(case.live_scores) < self._rules.liveness_pictures:
            return None
        return Liveness.LIVE if float(np.mean(case.live_scores)) >= check.threshold else Liveness.SPOOF

    def _search(self, template: Template) -> Identification:
        if self._rules.fpir is not None:
            return self._gallery.identify(template, fpir=self._rules.fpir)
        found = self._gallery.identify(template, threshold=self.one_to_one)
        best = found.candidates[0] if found.candidates else None
        return found if best is None else self._judged(found, best, template)

    def _compare(self, template: Template, credential: str) -> Identification:
        """Compare with one subject, in the form of a search."""
        contract = self._engine.contract
        try:
            enrolled = self._gallery.get(credential)
        except UnknownSubjectError:
            enrolled = ()
        if not enrolled:
            return Identification((), self.one_to_one, Outcome.REJECT, Reason.EMPTY_GALLERY, contract)
        near = [Candidate(credential, template.similarity(known), known.count) for known in enrolled]
        best = max(near, key=lambda one: one.similarity - self._limit(template, one.pictures))
        found = Identification((best,), self.one_to_one, Outcome.ACCEPT, Reason.NONE, contract)
        return self._judged(found, best, template)

    def _limit(self, template: Template, pictures: int | None) -> float:
        """Return the smallest similarity accepted with a template of so many pictures."""
        return ask_more(self.one_to_one, self._stretch(template, pictures))

    def _stretch(self, template: Template, pictures: int | None) -> float:
        """Return by how much a threshold grows for these two; one that was given in the rules is meant as it is."""
        if self._rules.threshold is not None:
            return 1.0
        return self._engine.stretch(template.count) * self._engine.stretch(pictures)

    def _judged(self, found: Identification, best: Candidate, template: Template) -> Identification:
        """Hold the best candidate to the limit of the rate: more for fused templates, and a near miss is grey.

        An accept may become something else here, nothing becomes an accept.
        """
        limit = self._limit(template, best.pictures)
        if best.similarity >= limit:
            return replace(found, threshold=limit)
        reason, decision = found.reason | Reason.BELOW_THRESHOLD, found.decision
        grey_from = self._grey_from
        if grey_from is not None and best.similarity >= ask_more(grey_from, self._stretch(template, best.pictures)):
            reason, decision = reason | Reason.GREY_ZONE, Outcome.RETRY
        elif decision is Outcome.ACCEPT:
            decision = Outcome.REJECT
        return replace(found, threshold=limit, decision=decision, reason=reason)


def _obstacle(reasons: Sequence[str]) -> str:
    """Return what keeps a search from an answer, as a key of `ADVICE`."""
    return "grey_zone" if "grey_zone" in reasons else "low_quality"
