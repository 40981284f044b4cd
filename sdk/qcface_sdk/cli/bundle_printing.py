"""Model bundles in words, for `qcface models`."""

from __future__ import annotations

from qcface_sdk.bundle import Bundle
from qcface_sdk.bundle_diff import Change
from qcface_sdk.cli.printing import print_table

_COUNTS = (2, 3, 5, 10)
_LONGEST = 40


def print_bundle(bundle: Bundle) -> None:
    """Print what a bundle holds."""
    manifest = bundle.manifest
    facts = {
        "model": f"{manifest.name} {manifest.version}, packed {manifest.created}",
        "source": bundle.source,
        "contract": manifest.embedding.contract,
        "embedding": f"{manifest.embedding.dimension} numbers, magnitude {manifest.embedding.la:g} to "
        f"{manifest.embedding.ua:g}",
        "input": f"{manifest.input.size_wh[0]} x {manifest.input.size_wh[1]} {manifest.input.color}, "
        f"template {manifest.input.template}",
        "licence": manifest.license,
        "trained on": manifest.training_data,
        "signed by": signer(bundle),
        "made with": ", ".join(f"{name} {version}" for name, version in manifest.tools.items()),
    }
    for name, text in facts.items():
        print(f"{name:<11} {text}")
    print()
    rows = [(name, f"{record.bytes:,}", record.sha256[:16]) for name, record in manifest.files.items()]
    print_table(("file (verified)", "bytes", "sha-256 begins"), rows, right=(1,))
    print()
    _print_quality(bundle)
    print()
    _print_thresholds(bundle)


def _print_quality(bundle: Bundle) -> None:
    rows = [
        (entry.artifact, entry.runtime, use, f"{gate.minimum:g}", f"{gate.fnmr:.4f}", f"{gate.fmr:g}")
        for entry in bundle.manifest.quality
        for use, gate in (("probe", entry.probe_gate), ("enrol", entry.enroll_gate))
    ]
    print_table(("artefact", "runtime", "gate", "quality from", "fnmr at most", "at fmr"), rows, right=range(3, 6))
    for gate_origin in sorted({g.origin for q in bundle.manifest.quality for g in (q.probe_gate, q.enroll_gate)}):
        print(f"gate measured on: {gate_origin}")
    for origin in sorted({entry.origin for entry in bundle.manifest.quality}):
        print(f"quality measured on: {origin}")


def _print_thresholds(bundle: Bundle) -> None:
    rows = [
        (
            row.artifact,
            row.runtime,
            f"{row.fmr:g}",
            f"{row.threshold:.4f}",
            f"{row.interval[0]:.4f} to {row.interval[1]:.4f}",
            f"{row.fnmr:.4f}",
            f"{row.impostors:,}",
            f"{row.genuines:,}",
            "yes" if row.supported else "no",
        )
        for row in bundle.manifest.thresholds
    ]
    head = ("artefact", "runtime", "fmr", "threshold", "interval", "fnmr", "impostors", "genuines", "supported")
    if not rows:
        print("no measured thresholds: verify and identify cannot decide with this bundle")
        return
    print_table(head, rows, right=range(2, 8))
    for origin in sorted({row.origin for row in bundle.manifest.thresholds}):
        print(f"measured on: {origin}")
    _print_stretches(bundle)


def _print_stretches(bundle: Bundle) -> None:
    print()
    entries = bundle.manifest.stretches
    if not entries:
        print("no factor for fused templates: they are held to the thresholds of single pictures")
        return
    rows = [
        (entry.artifact, entry.runtime, *(f"{entry.at(count):.3f}" for count in _COUNTS), f"{entry.interval[1]:.3f}")
        for entry in entries
    ]
    print_table(("fused, threshold times", "for pictures", *map(str, _COUNTS), "at most"), rows, right=range(2, 7))
    for origin in sorted({entry.origin for entry in entries}):
        print(f"measured on: {origin}")


def signer(bundle: Bundle) -> str:
    """Return who signed a bundle, in words."""
    return "nobody" if bundle.signature is None else f"key {bundle.signature.key_id} ({bundle.signature.key})"


def print_changes(changes: tuple[Change, ...]) -> None:
    """Print what differs between two bundles."""
    print_table(
        ("what", "first", "second"),
        [(change.path, _short(change.before), _short(change.after)) for change in changes],
        right=(),
    )


def _short(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
