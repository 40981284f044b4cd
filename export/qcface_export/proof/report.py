"""The outcome of a proof: figures with their limits, what failed and what to do, as text, JSON and manifest entry."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from qcface_export.errors import GateError
from qcface_export.proof.limits import Limit
from qcface_sdk.manifest import Proof, ProofFigure
from qcface_sdk.strict_json import dump_object


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure beside its limit."""

    name: str
    """Name in the limits file."""
    value: float
    """What was measured; NaN where it could not be formed, which fails."""
    limit: Limit
    """What it is held to."""

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.limit.allows(self.value)

    def __str__(self) -> str:
        return f"{self.name} {self.value:.5g} (limit {self.limit})"


@dataclass(frozen=True, slots=True)
class ProofReport:
    """What was measured of a candidate against its reference."""

    artifact: str
    """Id of the candidate in a bundle."""
    runtime: str
    """Backend the candidate ran on."""
    reference: str
    """What it was compared with, in words."""
    origin: str
    """What it was measured on, in words."""
    figures: tuple[Figure, ...]
    """All figures, in the order of the limits file."""
    details: Mapping[str, Any]
    """Rows and curves of the report, as plain JSON values."""
    unjudged: tuple[str, ...] = ()
    """Limits that the pictures cannot bear, each with what it needs."""

    @property
    def passed(self) -> bool:
        """Whether every figure kept its limit."""
        return all(figure.passed for figure in self.figures)

    @property
    def failures(self) -> tuple[Figure, ...]:
        """Figures beyond their limit."""
        return tuple(figure for figure in self.figures if not figure.passed)

    def lines(self) -> list[str]:
        """Return the figures as text, failures last with their reason and next step."""
        shown = [f"{'ok  ' if figure.passed else 'FAIL'} {figure}" for figure in self.figures]
        if self.unjudged:
            shown.append(f"not judged: {', '.join(self.unjudged)}")
        for figure in self.failures:
            shown += [f"{figure.name}: {figure.limit.reason}", f"  next: {figure.limit.next_step}"]
        verdict = "passed" if self.passed else f"FAILED ({len(self.failures)} of {len(self.figures)} figures)"
        return [f"{self.artifact} on {self.runtime} against {self.reference}: {verdict}", *shown]

    def check(self) -> None:
        """Refuse to go on with a file that failed.

        Raises
        ------
        GateError
            If a figure is beyond its limit; the message names the first, its limit and the next step.
        """
        if self.failures:
            first = self.failures[0]
            raise GateError(
                f"{self.artifact} on {self.runtime} must not ship: {'; '.join(map(str, self.failures))}. "
                f"Next: {first.limit.next_step}"
            )

    def to_proof(self) -> Proof:
        """Return the manifest's entry.

        Raises
        ------
        GateError
            If a figure is beyond its limit: a failed file has no place in a bundle.
        """
        self.check()
        figures = {figure.name: ProofFigure(figure.value, figure.limit.value) for figure in self.figures}
        return Proof(self.artifact, self.runtime, self.reference, True, MappingProxyType(figures), self.origin)

    def to_json(self) -> bytes:
        """Return everything as JSON, failures included."""
        content = {
            "artifact": self.artifact,
            "runtime": self.runtime,
            "reference": self.reference,
            "origin": self.origin,
            "passed": self.passed,
            "figures": {
                figure.name: {
                    "value": figure.value if math.isfinite(figure.value) else None,
                    figure.limit.kind: figure.limit.value,
                    "passed": figure.passed,
                    "reason": figure.limit.reason,
                    "next_step": figure.limit.next_step,
                }
                for figure in self.figures
            },
            "not_judged": list(self.unjudged),
            "details": dict(self.details),
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def proofs_json(reports: Sequence[ProofReport]) -> bytes:
    """Return the proofs of passed reports as JSON, each as the manifest of a bundle holds it.

    Raises
    ------
    GateError
        If one of them failed.
    """
    proofs = [json.loads(dump_object(report.to_proof())) for report in reports]
    return (json.dumps({"proofs": proofs}, indent=1) + "\n").encode()
