"""Measure recognition and quality: NumPy-only metrics, and the one ladder of picture damage."""

from qcface_sdk.evaluation.ladder import KINDS, LADDER, LADDER_SEED, LEVELS, UNITS, climb, degrade

__all__ = ["KINDS", "LADDER", "LADDER_SEED", "LEVELS", "UNITS", "climb", "degrade"]
