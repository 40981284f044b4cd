"""What a gallery decides: the threshold to use, whether a probe can be judged, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Flag, auto
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_fraction, check_threshold
from qcface_sdk.errors import GalleryError, InputError, NotFiniteError, OptionError
from qcface_sdk.matching import ask_more, grey_zone_from, pictures_of
from qcface_sdk.results import Candidate, Face, Identification, Outcome, Reason
from qcface_sdk.template import Template

_RIVAL_SHARE = 0.7
"""A second face whose shorter side is at least this share of the largest one's may be the person meant."""


class SearchLimit(Protocol):
    """What a judge says about one search, `FaceEngine.search_threshold`'s result for example."""

    @property
    def threshold(self) -> float:
        """Smallest similarity accepted."""
        ...


class Judge(Protocol):
    """What a gallery asks of the model: a `FaceEngine` is one."""

    @property
    def contract(self) -> str:
        """Embedding contract id."""
        ...

    @property
    def retry_below(self) -> float:
        """Quality below which a probe is not to be trusted, 0..100."""
        ...

    @property
    def enroll_below(self) -> float:
        """Quality below which a picture is not to be enrolled, 0..100."""
        ...

    def quality(self, magnitudes: Any) -> NDArray[np.float64]:
        """Return the quality, 0..100, of embeddings of these magnitudes."""
        ...

    def threshold(self, fmr: float) -> float:
        """Return the smallest similarity accepted at a false-match rate."""
        ...


class EnrolmentIssue(Flag):
    """Why a picture should not be enrolled without a second look; several may hold at once."""

    NONE = 0
    SEVERAL_FACES = auto()
    """Another face of the picture is about as large as the one taken."""
    LOW_QUALITY = auto()
    """The quality is below the enrolment gate."""
    LIKELY_DUPLICATE = auto()
    """The person looks like one enrolled under another id."""
    ALL = SEVERAL_FACES | LOW_QUALITY | LIKELY_DUPLICATE

    def names(self) -> tuple[str, ...]:
        """Return the lower-case names of the flags set."""
        single = (EnrolmentIssue.SEVERAL_FACES, EnrolmentIssue.LOW_QUALITY, EnrolmentIssue.LIKELY_DUPLICATE)
        return tuple(str(flag.name).lower() for flag in single if flag in self)


@dataclass(frozen=True, slots=True)
class Limit:
    """The threshold of one search and what it rests on."""

    threshold: float
    fmr: float | None = None
    fpir: float | None = None
    extrapolated: bool = False
    grey_from: float | None = None
    """Similarity from which one below the threshold asks for another picture; ``None`` for no such zone."""
    stretch: Callable[[int | None], float] | None = None
    """Factor on both for a template of so many pictures, `FaceEngine.stretch`; ``None`` for none."""

    def between(self, probe: int, enrolled: int | None) -> Limit:
        """Return the limit for two templates of so many pictures; ``None`` is unknown."""
        if self.stretch is None:
            return self
        factor = self.stretch(probe) * self.stretch(enrolled)
        grey_from = None if self.grey_from is None else ask_more(self.grey_from, factor)
        return replace(self, threshold=ask_more(self.threshold, factor), grey_from=grey_from)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be enrolled: a template, and what is known of the picture it came from."""

    template: Template
    quality: float | None
    issues: EnrolmentIssue


@dataclass(frozen=True, slots=True)
class Admission:
    """One template that is to be stored, all questions answered."""

    name: str
    template: Template
    quality: float | None
    issues: EnrolmentIssue
    similar_to: str | None
    consent: str | None
    expires: float | None
    crops: tuple[bytes, ...]
    """PNG files of aligned crops."""


def limit_of(
    judge: Judge | None,
    size: int,
    *,
    threshold: Any = None,
    fmr: Any = None,
    fpir: Any = None,
    extrapolate: bool = False,
) -> Limit:
    """Return the threshold that exactly one of the three asks for.

    The rates bring a grey zone below it, and ask more of fused templates where the judge knows how much.

    Raises
    ------
    OptionError
        If none or several are given, one is out of range, or a rate is given to a gallery without an engine.
    ThresholdUnavailableError
        If the model's measurements do not support the rate for a gallery of this size.
    """
    given = [name for name, value in (("threshold", threshold), ("fmr", fmr), ("fpir", fpir)) if value is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise OptionError(f"give exactly one of threshold, fmr (per comparison) and fpir (per search), got {got}")
    if threshold is not None:
        return Limit(check_threshold("threshold", threshold))
    if judge is None:
        raise OptionError(f"{given[0]} needs the model's thresholds; open the gallery with engine=, or give threshold=")
    stretch = getattr(judge, "stretch", None)
    if fmr is not None:
        rate = check_fraction("fmr", fmr)
        grey_from = grey_zone_from(judge.threshold, rate)
        return Limit(judge.threshold(rate), fmr=rate, grey_from=grey_from, stretch=stretch)
    rate = check_fraction("fpir", fpir)
    search = getattr(judge, "search_threshold", None)
    if search is None:
        raise OptionError("this engine states no threshold for a search; give fmr= or threshold=")

    def limit_at(wanted: float) -> SearchLimit:
        limit: SearchLimit = search(wanted, max(size, 1), extrapolate=extrapolate)
        return limit

    found = limit_at(rate)
    return Limit(
        found.threshold,
        getattr(found, "fmr", None),
        rate,
        bool(getattr(found, "extrapolated", False)),
        grey_zone_from(lambda wanted: limit_at(wanted).threshold, rate),
        stretch,
    )


def template_of(source: Any) -> Template:
    """Return the template of a face, or the template itself.

    Raises
    ------
    InputError, NotFiniteError
        If `source` is neither, has no embedding, or has one without a direction.
    """
    if isinstance(source, Template):
        return source
    if not isinstance(source, Face):
        raise InputError(
            f"a gallery takes a Face or a Template, got {type(source).__name__}; pass one of engine.get(image), or "
            "engine.template(faces)"
        )
    if source.embedding is None or source.contract is None:
        raise InputError("a gallery needs faces with embeddings, got one from detect(); use engine.get(image)")
    return Template.from_embeddings(source.embedding[None], source.contract)


def subject_of(source: Any, judge: Judge | None) -> Subject:
    """Return what to enrol of a face, a template, or the faces of one picture, largest first.

    Raises
    ------
    InputError, NotFiniteError
        As `template_of`, and if the sequence of faces is empty.
    """
    issues = EnrolmentIssue.NONE
    face = source
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes)):
        if not source or not all(isinstance(item, Face) for item in source):
            raise InputError("a gallery takes a Face or a Template, or the faces of one picture; got none of these")
        face = source[0]
        if rivals(source):
            issues |= EnrolmentIssue.SEVERAL_FACES
    template = template_of(face)
    quality = face.quality
    if quality is None and judge is not None:
        quality = float(judge.quality(np.array([template.magnitude]))[0])
    if judge is not None and not (quality is not None and quality >= judge.enroll_below):
        issues |= EnrolmentIssue.LOW_QUALITY
    return Subject(template, quality, issues)


def rivals(faces: Sequence[Face]) -> int:
    """Return how many other faces of a picture are about as large as the first, which is the largest."""
    return sum(other.size >= _RIVAL_SHARE * faces[0].size for other in faces[1:])


def refusal(name: str, issues: EnrolmentIssue, quality: float | None, similar: str | None, judge: Judge | None) -> str:
    """Return why a person was not enrolled and what to do."""
    words = []
    if EnrolmentIssue.SEVERAL_FACES in issues:
        words.append("another face of the picture is about as large (cut it to one person)")
    if EnrolmentIssue.LOW_QUALITY in issues and judge is not None:
        has = "no known quality" if quality is None else f"quality {quality:.0f}"
        words.append(f"the picture has {has}, below the enrolment gate {judge.enroll_below:g} (take a better one)")
    if EnrolmentIssue.LIKELY_DUPLICATE in issues:
        words.append(f"the person looks like {similar!r}, who is enrolled already (use one id for one person)")
    return f"{name!r} was not enrolled: {'; '.join(words)}. To enrol all the same, pass allow= or force=True"


def unfit(probe: Any, vector: NDArray[np.float32] | None, gate: float | None) -> Reason:
    """Why a probe cannot lead to an accept, whoever is enrolled."""
    if probe is None:
        return Reason.NO_FACE
    reason = Reason.NOT_FINITE if vector is None else Reason.NONE
    if gate is not None and isinstance(probe, Face) and (probe.quality is None or not probe.quality >= gate):
        reason |= Reason.LOW_QUALITY_A
    return reason


def vector_of(probe: Any) -> NDArray[np.float32] | None:
    """Return the unit vector of a probe, or ``None`` where there is nothing to compare."""
    if probe is None:
        return None
    try:
        return template_of(probe).vector
    except NotFiniteError:
        return None


def identification(
    probe: Any, reasons: Reason, candidates: tuple[Candidate, ...] | None, single: Limit, contract: str | None
) -> Identification:
    """Decide; `candidates` is ``None`` where nothing was searched. Only what nothing speaks against is accepted.

    `single` is the limit for single pictures; the one that holds is that of the probe and the best candidate. The grey
    zone is looked at below the threshold only: it makes a retry out of a reject, never an accept.
    """
    limit = single.between(pictures_of(probe), candidates[0].pictures if candidates else 1)
    reason, again = reasons, bool(reasons)
    if candidates is not None:
        if not candidates:
            reason |= Reason.EMPTY_GALLERY
        elif not candidates[0].similarity >= limit.threshold:  # so that NaN is below
            reason |= Reason.BELOW_THRESHOLD
            if limit.grey_from is not None and candidates[0].similarity >= limit.grey_from:
                reason, again = reason | Reason.GREY_ZONE, True
    if reason is Reason.NONE:
        decision = Outcome.ACCEPT if candidates else Outcome.RETRY
    else:
        decision = Outcome.RETRY if again else Outcome.REJECT
    return Identification(
        candidates or (), limit.threshold, decision, reason, contract, limit.fmr, limit.fpir, limit.extrapolated
    )


def check_gate(retry_below: Any, judge: Judge | None) -> float | None:
    """Return the quality gate for probes: the one given, else the judge's, else none.

    Raises
    ------
    OptionError
        If it is not a quality.
    """
    if retry_below is None:
        return None if judge is None else judge.retry_below
    if isinstance(retry_below, bool) or not isinstance(retry_below, (int, float)) or not 0 <= retry_below <= 100:
        raise OptionError(f"retry_below must be a quality in 0..100 or None, got {retry_below!r}")
    return float(retry_below)


def check_contract_of(judge: Judge | None, contract: str | None) -> str | None:
    """Return the contract that a gallery must have.

    Raises
    ------
    GalleryError
        If engine and contract are both given and disagree.
    """
    if judge is None:
        return contract
    if contract is not None and contract != judge.contract:
        raise GalleryError(f"contract is {contract}, the engine's is {judge.contract}; give one of them, or equal ones")
    return judge.contract
