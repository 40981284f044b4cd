r"""Prove that an exported recogniser keeps what its FP32 reference can do; exit status 3 if it does not.

With --pairs (LFW: a tar or folder of Name/Name_0001.webp) everything is judged; with --pictures (folders or tar files
of aligned 112 x 112 crops without names) all but the recognition rates. Removes what an earlier run left in --output,
writes report.html and report.json of every file that can be judged, and proof.json, the manifest's entry, only if every
figure kept its limit. INT8 files get into a bundle by export/release.py, which makes, proves and measures them.

Example: python export/prove.py --reference recognizer.fp32.onnx --candidate recognizer.int8.onnx \
             --pairs DATA/lfw --output proof
Exit status 0: passed. 1: something cannot be used. 3: failed; the figures, their limits and what to do are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from qcface_export.embedders import FileEmbedder  # noqa: E402
from qcface_export.errors import ExportError  # noqa: E402
from qcface_export.files import write_whole  # noqa: E402
from qcface_export.model_checks import recognizer_embeddings  # noqa: E402
from qcface_export.pictures import read_pictures  # noqa: E402
from qcface_export.proof import DEFAULT_LIMITS, ProofPictures, ProofReport, prove, read_limits, render_proof  # noqa: E402
from qcface_export.proof.report import proofs_json  # noqa: E402
from qcface_export.proof.strips import make_strips  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402
from qcface_train.evaluation.lfw import read_lfw  # noqa: E402

FAILED = 3
_RESULTS = ("proof.json", "report.html", "report.json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, metavar="ONNX", help="FP32 file")
    parser.add_argument("--reference-runtime", default="onnxruntime", help="backend of it (default: %(default)s)")
    parser.add_argument("--candidate", type=Path, required=True, metavar="FILE", help="file to judge")
    parser.add_argument("--runtime", default="onnxruntime", help="backend of the candidate (default: %(default)s)")
    parser.add_argument("--artifact", default="recognizer-int8", help="id of it in the bundle (default: %(default)s)")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pairs", type=Path, help="labelled set: tar or folder of Name/Name_0001.webp")
    source.add_argument("--pictures", type=Path, nargs="+", help="aligned crops without labels: folders or tar files")
    parser.add_argument("--count", type=int, default=1000, help="pictures to take of --pictures (default: %(default)s)")
    parser.add_argument("--ladder-faces", type=int, default=200, help="faces to damage (default: %(default)s)")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples (default: %(default)s)")
    parser.add_argument("--limits", type=Path, default=DEFAULT_LIMITS, metavar="TOML", help="limits with their reasons")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the report goes")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        report = _prove(args)
    except (ExportError, QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print("\n".join(report.lines()))
    print(f"report: {args.output / 'report.html'}")
    return 0 if report.passed else FAILED


def _prove(args: argparse.Namespace) -> ProofReport:
    # Of a candidate that cannot be judged, nothing may be left that speaks of another.
    for name in _RESULTS:
        (args.output / name).unlink(missing_ok=True)
    # All that can be wrong with the arguments is found before the long part begins.
    limits = read_limits(args.limits)
    if args.pairs:
        faces = read_lfw(args.pairs)
        pictures = ProofPictures(args.pairs.stem, faces.crops, faces.subjects, args.ladder_faces)
    else:
        crops = read_pictures(args.pictures, args.count).crops
        pictures = ProofPictures(", ".join(path.name for path in args.pictures), crops, None, args.ladder_faces)
    model = args.reference.read_bytes()
    # A reference without magnitude would make every figure of the magnitudes mean nothing.
    recognizer_embeddings(model, args.reference_runtime)
    reference = FileEmbedder(model, args.reference_runtime, title="reference")
    candidate = FileEmbedder(args.candidate.read_bytes(), args.runtime, title="candidate")
    report = prove(
        reference,
        candidate,
        pictures,
        limits,
        artifact=args.artifact,
        runtime=candidate.runtime,
        reference_name=f"{args.reference.name} on {reference.runtime}",
        replicates=args.replicates,
    )
    write_whole(args.output / "report.html", render_proof(report, make_strips(reference, candidate)).encode())
    write_whole(args.output / "report.json", report.to_json())
    if report.passed:
        write_whole(args.output / "proof.json", proofs_json([report]))
    return report


if __name__ == "__main__":
    raise SystemExit(main())
