r"""From an FP32 master to the INT8 file of one runtime, judged by the gate before it is written.

Calibrates on --calibration (aligned 112 x 112 faces, no labels needed), searches the ranges of activations, looks for
layers that must stay in float, and proves the file: on --pairs (LFW: everything), else on pictures of the calibration
folders that were neither calibrated nor searched on; limits that these cannot bear are named as not judged. Writes the
file, FILE.table.json, FILE.proof.json and FILE.proof.html; when the gate refuses, the page alone. It is for looking
closer at one runtime: export/release.py makes the files of a bundle.

Example: python export/quantize.py --master recognizer.fp32.onnx --calibration DATA/unlabelled --output int8.onnx
Exit status 0: written. 1: something cannot be used. 3: refused; figures, limits and what to do are printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from qcface_export.calibration import calibrate  # noqa: E402
from qcface_export.calibration_table import DEFAULT_PERCENTILE  # noqa: E402
from qcface_export.embedders import FileEmbedder  # noqa: E402
from qcface_export.errors import ExportError, GateError  # noqa: E402
from qcface_export.face_check import check_faces  # noqa: E402
from qcface_export.files import write_whole  # noqa: E402
from qcface_export.mixed_precision import last_layers  # noqa: E402
from qcface_export.model_checks import recognizer_embeddings  # noqa: E402
from qcface_export.pictures import PictureSet, split_for_proof, split_pictures  # noqa: E402
from qcface_export.proof import DEFAULT_LIMITS, ProofPictures, prove, read_limits, render_proof  # noqa: E402
from qcface_export.proof.report import proofs_json  # noqa: E402
from qcface_export.quantized_file import quantize  # noqa: E402
from qcface_export.range_search import search_ranges  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402
from qcface_train.evaluation.lfw import read_lfw  # noqa: E402

FAILED = 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--master", type=Path, required=True, metavar="ONNX", help="FP32 file of export/to_onnx.py")
    parser.add_argument("--calibration", type=Path, nargs="+", required=True, help="aligned faces: folders, tar files")
    parser.add_argument(
        "--runtime", choices=("onnxruntime", "openvino"), default="onnxruntime", help="(default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="INT8 ONNX to write")
    parser.add_argument("--pairs", type=Path, help="labelled set to prove on, not trained on: Name/Name_0001.webp")
    parser.add_argument("--pictures", type=int, default=256, help="to calibrate on (default: %(default)s)")
    parser.add_argument("--search-pictures", type=int, default=120, help="to search on (default: %(default)s)")
    parser.add_argument(
        "--proof-pictures", type=int, default=400, help="to prove on without --pairs (default: %(default)s)"
    )
    parser.add_argument("--percentile", type=float, default=DEFAULT_PERCENTILE, help="of the table (%(default)s)")
    parser.add_argument("--no-range-search", action="store_true", help="take ranges as --percentile says")
    parser.add_argument(
        "--most-in-float", type=int, default=6, help="layers to keep in float at most beside the last (%(default)s)"
    )
    parser.add_argument("--ladder-faces", type=int, default=200, help="faces to damage (default: %(default)s)")
    parser.add_argument("--limits", type=Path, default=DEFAULT_LIMITS, metavar="TOML", help="limits of the gate")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        _quantize(args)
    except GateError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return FAILED
    except (ExportError, QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def _quantize(args: argparse.Namespace) -> None:
    limits, master = read_limits(args.limits), args.master.read_bytes()
    recognizer_embeddings(master, "onnxruntime")
    known, others, pictures = _pictures(args)
    check_faces(known)
    table = calibrate(master, known)

    def say(text: str) -> None:
        print(text, flush=True)

    last = last_layers(master, table)
    if not args.no_range_search:
        forms, crops, percentile = {args.runtime: args.runtime}, known.crops[::2], args.percentile
        found = search_ranges(
            master, table, forms, crops, limits, percentile=percentile, nodes_in_float=last, progress=say
        )
        say(str(found))
        table = found.table
    made = quantize(
        master,
        table,
        args.runtime,
        others.crops,
        limits,
        percentile=args.percentile,
        most=args.most_in_float,
        start=last,
        progress=say,
    )
    print("\n".join(made.search.lines()))
    reference, candidate = FileEmbedder(master, "onnxruntime"), FileEmbedder(made.data, args.runtime)
    name = f"{args.master.name} on onnxruntime"
    report = prove(
        reference, candidate, pictures, limits, artifact="recognizer-int8", runtime=args.runtime, reference_name=name
    )
    print("\n".join(report.lines()))
    write_whole(args.output.with_name(f"{args.output.name}.proof.html"), render_proof(report).encode())
    report.check()
    write_whole(args.output.with_name(f"{args.output.name}.table.json"), table.to_json())
    write_whole(args.output.with_name(f"{args.output.name}.proof.json"), proofs_json([report]))
    write_whole(args.output, made.data)
    print(f"{args.output}: {len(made.data):,} bytes")


def _pictures(args: argparse.Namespace) -> tuple[PictureSet, PictureSet, ProofPictures]:
    """Return what to calibrate on, what to search on and what to prove on: three sets that share no picture."""
    if args.pairs:
        known, others = split_pictures(args.calibration, args.pictures, args.search_pictures)
        faces = read_lfw(args.pairs)
        return known, others, ProofPictures(args.pairs.stem, faces.crops, faces.subjects, args.ladder_faces)
    counts = (args.pictures, args.search_pictures, args.proof_pictures)
    known, others, unseen = split_for_proof(args.calibration, *counts)
    name = "pictures neither calibrated nor searched on"
    return known, others, ProofPictures(name, unseen.crops, None, args.ladder_faces)


if __name__ == "__main__":
    raise SystemExit(main())
