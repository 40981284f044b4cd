"""Which layers of the INT8 file for TensorRT stay in float: found at release on real faces, kept in the bundle.

A door controller that builds its engine has no faces to search on, and need not search. The file holds names of layers
and figures, no pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

from qcface_export.calibration_table import CalibrationTable
from qcface_export.errors import CalibrationError
from qcface_sdk.errors import ManifestError
from qcface_sdk.strict_json import decode, dump_object, parse_object

VERSION = 1
TABLE_FILE = "calibration.json"
"""Name of the calibration table in a bundle."""
CHOICE_FILE = "calibration.tensorrt.json"
"""Name of the choice of layers in a bundle."""


@dataclass(frozen=True, slots=True)
class LayerChoice:
    """Layers in float that a search found and the gate confirmed. Immutable."""

    version: int
    """1."""
    table_sha256: str
    """SHA-256 of the calibration table that activations were scaled by."""
    percentile: float
    """Percentile of it, or where the search for its ranges began."""
    layers: tuple[str, ...]
    """Names of the layers in the master."""
    search: tuple[str, ...]
    """What each layer brought, as text."""
    proof: tuple[str, ...]
    """What the gate found of the file with FP32 floats on the CPU, as text."""
    origin: str
    """What the gate judged on."""

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ManifestError(f"version must be {VERSION}, got {self.version}; release again with this version")
        if len(set(self.layers)) != len(self.layers):
            raise ManifestError(f"layers must differ, got {self.layers}")

    @classmethod
    def from_json(cls, data: bytes) -> LayerChoice:
        """Read a choice.

        Raises
        ------
        CalibrationError
            If it is not JSON of this form.
        """
        try:
            return decode(cls, parse_object(data, "layer choice"), "")
        except ManifestError as error:
            raise CalibrationError(f"this is no choice of layers: {error}") from error

    def to_json(self) -> bytes:
        """Return the choice as JSON; equal choices give equal bytes."""
        return dump_object(self)

    def fits(self, table: CalibrationTable, percentile: float) -> bool:
        """Return whether it was found with these ranges; with others, other layers may be needed.

        The percentile counts where the table's ranges depend on it; those that a search found do not.
        """
        return self.table_sha256 == table.sha256 and (table.is_searched or self.percentile == percentile)
