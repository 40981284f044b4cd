"""One measure per file; each names its unit, its component of ISO/IEC 29794-5:2025, and what to change."""

from qcface_sdk.assessment.measures import (
    colour,
    contrast,
    exposure,
    occlusion,
    pose,
    sharpness,
    size,
    truncation,
)
from qcface_sdk.assessment.measures.measure import Measure

MEASURES: tuple[Measure, ...] = (
    size.MEASURE,
    sharpness.MEASURE,
    exposure.MEASURE,
    contrast.MEASURE,
    pose.MEASURE,
    occlusion.MEASURE,
    truncation.MEASURE,
    colour.MEASURE,
)
"""All measures, in the order of every report."""

__all__ = ["MEASURES", "Measure"]
