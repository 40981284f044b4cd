"""Show a model bundle: what it holds, what it was trained on, its files and its measured thresholds.

Every file is checked against its SHA-256 before anything is shown, so --verify only says so. --pack writes the bundle
as one .qcface file, --unpack as a folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from qcface_sdk.bundle import Bundle
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_json_option
from qcface_sdk.cli.printing import plural, print_json, print_table

_EXAMPLES = """\
  qcface models
  qcface models my-bundle/ --verify
  qcface models my-bundle/ --pack my-bundle.qcface
  qcface models my-bundle.qcface --unpack my-bundle/

--json prints {"source", "verified_files", "manifest"}. Exit status 4 if the bundle is missing, altered or malformed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("bundle", nargs="?", metavar="BUNDLE", help="folder or .qcface file (default: the built-in)")
    parser.add_argument("--verify", action="store_true", help="only check every file against its SHA-256")
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--pack", type=Path, metavar="FILE", help="write the bundle as one .qcface file")
    target.add_argument("--unpack", type=Path, metavar="FOLDER", help="write the bundle as a folder")
    parser.add_argument("--overwrite", action="store_true", help="let --pack and --unpack replace what is there")
    add_json_option(parser, "one JSON object")


def run(args: argparse.Namespace) -> ExitCode:
    """Verify a bundle, then show or write it."""
    bundle = Bundle.load(args.bundle)
    if args.pack is not None:
        bundle.save_file(args.pack, overwrite=args.overwrite)
    if args.unpack is not None:
        bundle.save_folder(args.unpack, overwrite=args.overwrite)
    written = args.pack or args.unpack
    if args.json:
        manifest = json.loads(bundle.manifest_bytes)
        print_json({"source": bundle.source, "verified_files": sorted(bundle.files), "manifest": manifest})
    elif written is not None:
        print(f"wrote {written}")
    elif args.verify:
        print(f"{bundle.source}: {plural(len(bundle.files), 'file')} verified by SHA-256, contract {bundle.contract}")
    else:
        _print_bundle(bundle)
    return ExitCode.OK


def _print_bundle(bundle: Bundle) -> None:
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


COMMAND = Command(
    name="models",
    summary="show, verify, pack or unpack a model bundle",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
