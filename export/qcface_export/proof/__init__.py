"""Proof that an exported file still orders faces by quality and that its thresholds mean what they say."""

from qcface_export.proof.gate import Embed, ProofPictures, prove
from qcface_export.proof.limits import DEFAULT_LIMITS, Limit, read_limits
from qcface_export.proof.page import render_proof
from qcface_export.proof.report import Figure, ProofReport

__all__ = [
    "DEFAULT_LIMITS",
    "Embed",
    "Figure",
    "Limit",
    "ProofPictures",
    "ProofReport",
    "prove",
    "read_limits",
    "render_proof",
]
