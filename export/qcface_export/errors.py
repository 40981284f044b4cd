"""Every error the export raises on purpose."""

from __future__ import annotations


class ExportError(RuntimeError):
    """A file cannot be made, or does not compute what it should."""


class CalibrationError(ExportError):
    """Pictures or a table that activations must not be scaled by."""


class GateError(ExportError):
    """An artefact that must not leave the pipeline."""
