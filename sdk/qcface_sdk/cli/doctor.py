"""Check this installation: run the models for real on every backend present and compare what comes out.

Versions, the processor's instruction set in use, the model bundle (every file by SHA-256), one inference of both
networks per backend with its time, how far the backends agree, and the default path from a picture to an embedding.
"""

from __future__ import annotations

import argparse
import platform

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_json_option, positive_int
from qcface_sdk.cli.printing import number_or_dash, print_json, print_table
from qcface_sdk.cli.versions import package_version
from qcface_sdk.diagnosis import Diagnosis, diagnose

_EXAMPLES = """\
  qcface doctor
  qcface doctor --model my-bundle/ --threads 4
  qcface doctor --json | jq .backends

--json prints {"versions", "processor", "simd", "model", "backends": [{"name", "version", "ran", "embed_ms",
"detect_ms", "cosine", "problem"}], "speeds": [{"backend", "artifact", "precision", "ms"}],
"default_path": {"ok", "engine", "problem"}}.
Exit status 4 if the default path fails.
"""

_PACKAGES = ("qcface-sdk", "numpy", "opencv-python-headless", "opencv-python", "onnxruntime", "openvino")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("--model", metavar="BUNDLE", help="bundle, folder or .qcface file (default: the built-in)")
    parser.add_argument("--threads", type=positive_int, default=1, metavar="N", help="CPU threads (default: 1)")
    add_json_option(parser, "one JSON object")


def run(args: argparse.Namespace) -> ExitCode:
    """Diagnose and print; fail if the default path does."""
    found = diagnose(args.model, threads=args.threads)
    versions = {"python": platform.python_version(), **{name: package_version(name) for name in _PACKAGES}}
    if args.json:
        print_json({"versions": versions, **found.to_dict()})
    else:
        _print_report(versions, found)
    return ExitCode.OK if found.ok else ExitCode.MODEL


def _print_report(versions: dict[str, str], found: Diagnosis) -> None:
    for name, version in versions.items():
        print(f"{name:<24} {version}")
    print(f"{'processor':<24} {found.processor}")
    print(f"{'kernels use':<24} {found.simd}")
    print(f"{'model':<24} {found.model}")
    print()
    rows = [
        (
            backend.name,
            backend.version or "-",
            "ran" if backend.ran else "no",
            number_or_dash(backend.embed_ms, 2),
            number_or_dash(backend.detect_ms, 2),
            number_or_dash(backend.cosine, 6),
            backend.problem,
        )
        for backend in found.backends
    ]
    head = ("backend", "version", "ran", "embed ms", "detect ms", "cosine", "problem")
    print_table(head, rows, right=(3, 4, 5))
    print("embed: one face; detect: one 640 x 480 picture; cosine: lowest agreement of embeddings with the first")
    print()
    if found.speeds:
        print_table(
            ("file", "precision", "on", "network ms"),
            [(one.artifact, one.precision, one.backend, number_or_dash(one.ms, 2)) for one in found.speeds],
            right=(3,),
        )
        print("precision 'auto' takes the fastest; remembered for this bundle, processor and runtime")
        print()
    verdict = "works" if found.ok else f"FAILS: {found.problem}"
    print(f"default path, picture to embedding ({found.default_backend}): {verdict}")


COMMAND = Command(
    name="doctor",
    summary="check the installation with real inference",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
