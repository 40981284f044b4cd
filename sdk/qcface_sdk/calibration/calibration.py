"""What decisions rest on, for one artefact on one runtime, and its file form."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from qcface_sdk.bundle import Bundle
from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import CalibrationError, ManifestError, ThresholdUnavailableError
from qcface_sdk.measurements import FusedStretch, ImpostorTail, QualityMap, ThresholdRow
from qcface_sdk.search import SearchThreshold, search_threshold
from qcface_sdk.strict_json import OPTIONAL, decode, dump_object, parse_object
from qcface_sdk.thresholds import threshold_at

SCHEMA = 1
"""Version of the file form."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured thresholds, tail, quality map and gates. Immutable, so it may be shared by threads.

    The file form is JSON with exactly these keys, of which `stretches` may be missing; `load` refuses any other.
    """

    schema: int
    """1."""
    contract: str
    """Embedding contract it was measured under."""
    artifact: str
    """Artefact it was measured with."""
    runtime: str
    """Backend it was measured with."""
    created: str
    """UTC time, ``YYYY-MM-DDTHH:MM:SSZ``."""
    data: str
    """What it was measured on, in words."""
    thresholds: tuple[ThresholdRow, ...]
    """Measured rows, of this artefact and runtime."""
    tails: tuple[ImpostorTail, ...]
    """The tail of the impostor scores, or nothing."""
    quality: QualityMap
    """Magnitude to quality, and the gates."""
    stretches: tuple[FusedStretch, ...] = field(default=(), metadata=OPTIONAL)
    """What fused templates ask of thresholds, or nothing: they are then held to those of single pictures."""

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ManifestError(f"schema must be {SCHEMA}, got {self.schema}; calibrate again with this SDK")
        if len(self.tails) > 1:
            raise ManifestError(f"tails must hold at most one tail, got {len(self.tails)}")
        if len(self.stretches) > 1:
            raise ManifestError(f"stretches must hold at most one entry, got {len(self.stretches)}")
        own = (self.artifact, self.runtime)
        measured: tuple[ThresholdRow | ImpostorTail | FusedStretch, ...] = (
            *self.thresholds,
            *self.tails,
            *self.stretches,
        )
        for entry in (*measured, self.quality):
            if (entry.artifact, entry.runtime) != own:
                raise ManifestError(f"all entries must be of {own}, got one of {(entry.artifact, entry.runtime)}")

    @classmethod
    def of_bundle(cls, bundle: Bundle, artifact: str, runtime: str) -> Calibration:
        """Return what a bundle holds for one artefact on one runtime."""
        own = (artifact, runtime)
        tails = tuple(tail for tail in bundle.manifest.tails if (tail.artifact, tail.runtime) == own)
        stretches = tuple(found for found in bundle.manifest.stretches if (found.artifact, found.runtime) == own)
        return cls(
            SCHEMA,
            bundle.contract,
            artifact,
            runtime,
            bundle.manifest.created,
            f"shipped with {bundle.manifest.name} {bundle.manifest.version}",
            bundle.thresholds(artifact, runtime),
            tails,
            bundle.quality_map(artifact, runtime),
            stretches,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a calibration file.

        Raises
        ------
        CalibrationError
            If it cannot be read or is not exactly of the schema; the message names the key.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise CalibrationError(
                f"cannot read calibration {path}: {error.strerror or error}; check the path"
            ) from error
        try:
            return decode(cls, parse_object(data, "calibration"), "")
        except ManifestError as error:
            raise CalibrationError(f"{path}: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file that `load` reads."""
        Path(path).write_bytes(dump_object(self))

    def check(self, contract: str, artifact: str, runtime: str) -> None:
        """Raise `CalibrationError` unless it was measured with exactly this model, artefact and runtime."""
        wanted, came = (contract, artifact, runtime), (self.contract, self.artifact, self.runtime)
        if wanted != came:
            raise CalibrationError(
                f"the calibration must be of {' '.join(wanted)}, got one of {' '.join(came)}: scores differ between "
                "models, precisions and runtimes; run qcface calibrate with the engine options in use"
            )

    @property
    def tail(self) -> ImpostorTail | None:
        """The tail of the impostor scores, if one was fitted."""
        return self.tails[0] if self.tails else None

    def threshold(self, fmr: float) -> ThresholdRow:
        """Return the row of a false-match rate, measured or interpolated in log10(fmr).

        Raises
        ------
        OptionError
            If `fmr` is not between 0 and 1.
        ThresholdUnavailableError
            If the counts do not support it.
        """
        rate = check_fraction("fmr", fmr)
        if not self.thresholds:
            raise ThresholdUnavailableError(f"{self.data} has no thresholds for {self.artifact} on {self.runtime}")
        return threshold_at(self.thresholds, rate)

    def stretch(self, count: int | None) -> float:
        """Return the factor on a threshold for a template of `count` pictures; ``None``, unknown, asks for the most.

        1 for a single picture, and for all where nothing was measured.

        Raises
        ------
        OptionError
            If `count` is not positive.
        """
        if count is not None:
            check_positive_int("count", count)
        if not self.stretches:
            return 1.0
        found = self.stretches[0]
        return found.interval[1] if count is None else found.at(count)

    def search_threshold(self, fpir: float, size: int, *, extrapolate: bool = False) -> SearchThreshold:
        """Return the threshold for a gallery of `size` templates; see `qcface_sdk.search.search_threshold`."""
        return search_threshold(self.thresholds, self.tail, fpir, size, extrapolate=extrapolate)
