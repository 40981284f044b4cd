"""The people in view of a door: who they are in the sequence of pictures, whom to look at closer, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qcface_sdk.camera.budget import Budget
from qcface_sdk.camera.case import Case, CaseState, Verdict
from qcface_sdk.camera.decider import ADVICE, Decider, Fit
from qcface_sdk.camera.frame import Frame
from qcface_sdk.camera.prequality import PictureGate, PreQuality, assess_detected
from qcface_sdk.camera.rules import DoorRules
from qcface_sdk.camera.stages import Stages
from qcface_sdk.camera.tracker import Track, Tracker
from qcface_sdk.fusion import Fusion
from qcface_sdk.results import Face, Outcome

_APPROACH = 1.08
"""Growth of the face over a second and a half from which a person counts as approaching."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict on a case, in one frame."""

    case: Case
    verdict: Verdict


class People:
    """All cases of one door. Used by the door's thread alone.

    Parameters
    ----------
    rules : DoorRules
    stages : Stages
    decider : Decider
    new_fusion : callable
        Gives an empty `Fusion`, such as ``engine.fusion``.
    """

    def __init__(self, rules: DoorRules, stages: Stages, decider: Decider, new_fusion: Callable[[], Fusion]) -> None:
        self._rules, self._stages, self.decider, self._new_fusion = rules, stages, decider, new_fusion
        self._gate = PictureGate(rules.min_face)
        self._tracker = Tracker(rules.max_gap)
        self._budget = Budget(rules.embeddings_per_second)
        self._cases: dict[int, Case] = {}
        self._seen: list[Case] = []

    @property
    def in_view(self) -> tuple[Case, ...]:
        """Cases with a face in the last picture."""
        return tuple(self._seen)

    def follow(self, faces: Sequence[Face], time: float) -> tuple[Case, ...]:
        """Take the faces of the next picture; return the cases of people who are gone for good."""
        update = self._stages.run("track", lambda: self._tracker.update(faces, time))
        self._seen = [self._case_of(track, time) for track in update.seen]
        return tuple(case for track in update.ended if (case := self._cases.pop(track.id, None)) is not None)

    def _case_of(self, track: Track, time: float) -> Case:
        if track.id not in self._cases:
            self._cases[track.id] = Case(track, self._new_fusion(), time)
        return self._cases[track.id]

    def judge(self, frame: Frame, credential: str | None) -> list[Decision]:
        """Look closer at whoever deserves it, and return the decisions that follow."""
        chosen = self._stages.run("choose", lambda: self._choose(frame, credential))
        decisions: list[Decision] = []
        if chosen:
            embedded = self.decider.embed(frame, [case for case, _ in chosen])
            for (case, quality), face in zip(chosen, embedded, strict=True):
                fit = self.decider.gather(case, face, quality, frame)
                if fit is Fit.STRANGER:
                    self._stranger(case, frame.time)
                # Evidence of a moment ago must not open for whoever is seen now: this very face has to belong to it.
                if fit is not Fit.USED or face is None:
                    continue
                case = self._known_before(case)
                if case.state is not CaseState.COLLECTING:
                    continue
                verdict = self.decider.decide(case, face, frame, credential)
                if verdict is not None:
                    decisions.append(Decision(case, verdict))
        decided = {id(decision.case) for decision in decisions}
        for case in self._seen:
            if id(case) not in decided and (verdict := self._overdue(case, frame.time)) is not None:
                decisions.append(Decision(case, verdict))
        return decisions

    def _choose(self, frame: Frame, credential: str | None) -> list[tuple[Case, PreQuality]]:
        """Return the cases worth an embedding in this picture, best picture first, as far as the budget goes."""
        rules, size = self._rules, frame.size_wh
        here = [case for case in self._seen if rules.inside_zone(case.face, size)]
        # A credential belongs to whoever holds it out, who stands in front.
        rule = rules if credential is None or rules.focus != "everyone" else replace(rules, focus="largest")
        focus = rule.in_focus([case.face for case in here], size)
        found: list[tuple[Case, PreQuality]] = []
        for case in here:
            if not any(case.face is face for face in focus) or not self._asks(case, frame.time):
                continue
            if rules.credential == "required" and credential is None:
                case.problems["no_credential"] += 1
                continue
            quality = assess_detected(frame.image, case.face)
            case.grey = quality.grey
            reasons = self._gate.reasons(quality)
            case.last_picture = frame.time
            if reasons:
                case.problems[reasons[0]] += 1
            elif self.decider.worth_embedding(case, quality, frame.time):
                found.append((case, quality))
        # Whoever is nearest to a decision comes first, or a crowd would share the budget and nobody be decided.
        found.sort(key=lambda pair: (-pair[0].streak[1], -pair[1].score))
        return [pair for pair in found if self._budget.take(frame.time)]

    def _asks(self, case: Case, time: float) -> bool:
        """Return whether a person in the zone is to be looked at now, and bring the state up to date."""
        rules, track = self._rules, case.track
        if case.state is CaseState.SEEN:
            near = not rules.approaching or track.approach(1.5) >= _APPROACH
            if track.hits >= rules.seen_pictures and near:
                case.state, case.began, case.asked = CaseState.COLLECTING, time, True
        elif case.state is CaseState.COOLING and time >= case.cooled:
            case.restart(self._new_fusion(), time)
            case.state = CaseState.COLLECTING
        return case.state is CaseState.COLLECTING

    def _stranger(self, case: Case, time: float) -> None:
        """Begin a new case: somebody else stands where this one stood."""
        track = self._tracker.split(case.track)
        del self._cases[case.track.id]
        fresh = self._case_of(track, time)
        fresh.state, fresh.asked = CaseState.COLLECTING, True
        self._seen = [fresh if one is case else one for one in self._seen]

    def _known_before(self, case: Case) -> Case:
        """Return the case of this person from before an occlusion, where there is one; else `case`."""
        if case.fusion.count != 1 or case.embedded != 1:
            return case
        for old in list(self._cases.values()):
            hidden = old.track.last_seen < case.track.first_seen
            if old is not case and hidden and self.decider.same_person(case, old):
                del self._cases[case.track.id]
                old.track = self._tracker.merge(case.track, old.track)
                self._cases[old.track.id] = old
                old.last_embedding = case.last_embedding
                self._seen = [old if one is case else one for one in self._seen]
                # What was decided stays decided; evidence before and after is not mixed on one comparison's word.
                if old.state is CaseState.COLLECTING:
                    old.restart(case.fusion, case.track.last_seen)
                    old.embedded = 1
                return old
        return case

    def _overdue(self, case: Case, time: float) -> Verdict | None:
        """Return what to tell somebody who has waited for too long, once for each thing that is wrong."""
        if case.state is not CaseState.COLLECTING or time - case.began < self._rules.patience:
            return None
        case.began = time
        reason = case.main_problem or "low_quality"
        case.problems.clear()
        return None if reason in case.told else self._retry(case, reason)

    def farewell(self, case: Case) -> Verdict | None:
        """Return what to say of somebody who has gone: whoever asked to come in leaves a trace in the log."""
        if not case.asked or case.said_anything:
            return None
        return self._retry(case, case.main_problem or "left_early")

    def _retry(self, case: Case, reason: str) -> Verdict:
        words = ("grey",) if case.grey else ()
        quality = float(case.fusion.quality) if case.fusion.count else None
        pictures = () if reason in ("no_credential", "left_early", "grey_zone") else (reason,)
        return Verdict(Outcome.RETRY, (reason,), ADVICE.get(reason), quality=quality, quality_reasons=pictures + words)

    def settle(self, case: Case, verdict: Verdict, time: float) -> None:
        """Bring a case into the state that follows a verdict that was told."""
        case.outcome, case.said_anything = verdict.outcome, True
        if verdict.outcome is Outcome.ACCEPT:
            case.state, case.subject = CaseState.ACCEPTED, verdict.subject
        elif verdict.outcome is Outcome.REJECT:
            case.failed += 1
            last = case.failed >= self._rules.attempts
            case.state = CaseState.CLOSED if last else CaseState.COOLING
            case.cooled = time + self._rules.cooldown
        else:
            case.told.update(verdict.reasons)
            if case.embedded >= self._rules.max_pictures:
                case.failed += "grey_zone" in verdict.reasons
                case.restart(self._new_fusion(), time)

    def restart(self, time: float) -> None:
        """Forget all evidence on people who are not decided: it may be damaged, or belong to somebody else."""
        for case in self._cases.values():
            if case.state in (CaseState.SEEN, CaseState.COLLECTING):
                case.restart(self._new_fusion(), time)

    def use(self, new_fusion: Callable[[], Fusion], time: float) -> None:
        """Gather evidence with another engine from now on."""
        self._new_fusion = new_fusion
        self.restart(time)

    def leave(self) -> tuple[Case, ...]:
        """Return all cases, and forget them: the stream is over."""
        cases = tuple(self._cases.values())
        self._cases, self._seen = {}, []
        self._tracker = Tracker(self._rules.max_gap)
        return cases
