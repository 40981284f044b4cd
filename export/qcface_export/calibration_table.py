"""How large each activation gets: measured once, kept as JSON, used by every emitter.

A table belongs to one model, one list of pictures and one preprocessing; it names all three by hash, and an emitter
refuses a table of another model. The same input gives the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from qcface_export.errors import CalibrationError
from qcface_sdk.errors import ManifestError
from qcface_sdk.manifest import InputContract
from qcface_sdk.strict_json import decode, dump_object, parse_object

VERSION = 1
PERCENTILES = (99.99, 99.999)
"""Percentiles of the absolute value that a table holds."""
DEFAULT_PERCENTILE = 99.999
"""What emitters scale by. Clipping more than one value in 100,000 shortens exactly the embeddings that are long."""
FULL_RANGE = 100.0
"""Stands for the minimum and maximum themselves."""
SMALL_TENSOR = 16384
"""Numbers a picture below which nothing is clipped: each of so few numbers moves the embedding."""


@dataclass(frozen=True, slots=True)
class TensorRange:
    """What was seen of one tensor."""

    minimum: float
    """Smallest value."""
    maximum: float
    """Largest value."""
    percentiles: Mapping[str, float]
    """Percentile, such as ``99.99``, to the absolute value at it."""
    numbers: int
    """Numbers of the tensor for one picture."""

    def __post_init__(self) -> None:
        if self.numbers < 1:
            raise ManifestError(f"numbers must be at least 1, got {self.numbers}")
        if self.minimum > self.maximum:
            raise ManifestError(f"minimum must not be above maximum, got {self.minimum} and {self.maximum}")

    def limits(self, percentile: float) -> tuple[float, float]:
        """Return the range to represent: all but the values whose size is above the percentile; all of a small tensor.

        Raises
        ------
        CalibrationError
            If the table does not hold this percentile.
        """
        if percentile == FULL_RANGE:
            return self.minimum, self.maximum
        largest = self.percentiles.get(f"{percentile:g}")
        if largest is None:
            known = ", ".join([*self.percentiles, f"{FULL_RANGE:g}"])
            raise CalibrationError(f"percentile must be one of {known} (those in the table), got {percentile:g}")
        if self.numbers < SMALL_TENSOR:
            return self.minimum, self.maximum
        return max(self.minimum, -largest), min(self.maximum, largest)


@dataclass(frozen=True, slots=True)
class CalibrationTable:
    """The ranges of all activations of one model. Immutable."""

    version: int
    """1."""
    model_sha256: str
    """SHA-256 of the FP32 master."""
    images_sha256: str
    """SHA-256 over the pictures' names and pixels, in order."""
    images: int
    """Number of pictures, damaged copies included."""
    preprocessing: InputContract
    """How pixels became network input."""
    preprocessing_sha256: str
    """SHA-256 of `preprocessing` as JSON."""
    tensors: Mapping[str, TensorRange]
    """Tensor name in the master to what was seen of it."""

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ManifestError(f"version must be {VERSION}, got {self.version}; calibrate again with this version")
        if self.preprocessing_sha256 != preprocessing_hash(self.preprocessing):
            raise ManifestError("preprocessing_sha256 does not follow from preprocessing; the table was altered")

    @classmethod
    def of(
        cls,
        model: bytes,
        images_sha256: str,
        images: int,
        preprocessing: InputContract,
        tensors: Mapping[str, TensorRange],
    ) -> CalibrationTable:
        """Make the table of a model from what was seen."""
        return cls(
            VERSION,
            hashlib.sha256(model).hexdigest(),
            images_sha256,
            images,
            preprocessing,
            preprocessing_hash(preprocessing),
            MappingProxyType(dict(tensors)),
        )

    def with_ranges(self, tensors: Mapping[str, TensorRange]) -> CalibrationTable:
        """Return the table with other ranges, found on the same pictures for the same model."""
        return replace(self, tensors=MappingProxyType(dict(tensors)))

    @classmethod
    def from_json(cls, data: bytes) -> CalibrationTable:
        """Read a table.

        Raises
        ------
        CalibrationError
            If it is not JSON of this form, whole and unaltered.
        """
        try:
            return decode(cls, parse_object(data, "calibration table"), "")
        except ManifestError as error:
            raise CalibrationError(f"this is no calibration table: {error}") from error

    def to_json(self) -> bytes:
        """Return the table as JSON; equal tables give equal bytes."""
        return dump_object(self)

    @property
    def sha256(self) -> str:
        """SHA-256 of the JSON."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def is_searched(self) -> bool:
        """Whether the ranges stand for every percentile, as those of `range_search` do: another one changes nothing."""
        return all(
            seen.limits(float(percentile)) == seen.limits(FULL_RANGE)
            for seen in self.tensors.values()
            for percentile in seen.percentiles
        )

    def check_model(self, model: bytes) -> None:
        """Check that the table is of this model.

        Raises
        ------
        CalibrationError
            If it is of another.
        """
        digest = hashlib.sha256(model).hexdigest()
        if digest != self.model_sha256:
            raise CalibrationError(
                f"the table is of model {self.model_sha256[:16]}, this model is {digest[:16]}; calibrate this model"
            )

    def limits(self, tensor: str, percentile: float) -> tuple[float, float]:
        """Return the range of a tensor.

        Raises
        ------
        CalibrationError
            If the table does not hold the tensor or the percentile.
        """
        if tensor not in self.tensors:
            raise CalibrationError(f"the table does not hold tensor {tensor!r}; calibrate the master it was made of")
        return self.tensors[tensor].limits(percentile)


def preprocessing_hash(preprocessing: InputContract) -> str:
    """Return the SHA-256 of a preprocessing."""
    return hashlib.sha256(dump_object(preprocessing)).hexdigest()
