"""Why a face picture is good or bad: one measure per file, each with a number, a score, a status and advice."""

from qcface_sdk.assessment.assess import assess
from qcface_sdk.assessment.report import Measurement, QualityReport, Status

__all__ = ["Measurement", "QualityReport", "Status", "assess"]
