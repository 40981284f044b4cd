"""Pack a model bundle: ONNX files and what was measured of them, checked, hashed, written whole or not at all.

The JSON files follow the manifest (qcface_sdk/manifest.py): --thresholds is {"thresholds": [rows], "tails": [tails]},
--quality {"quality": [maps]}, --proofs {"proofs": [proofs]}, --detector-info the object `detector` without `file`. Give
--master for a recogniser whose graph was rewritten after export: templates stay comparable with those of the master.
This packs one FP32 recogniser. INT8 files need thresholds and a quality map of their own as well as a proof, and get
into a bundle by export/release.py, which makes all of them (--master begins with an FP32 file).
Exit status 1: refused, nothing written.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from qcface_export.bundle_packing import BundleParts, make_bundle, write_bundle
from qcface_sdk.errors import QCFaceError

_FILES = ("recognizer", "detector", "thresholds", "quality", "detector-info", "card")
_TEXTS = ("name", "version", "license-text", "training-data")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in _FILES:
        parser.add_argument(f"--{option}", type=Path, required=True, metavar="FILE")
    parser.add_argument("--proofs", type=Path, metavar="FILE", help="of prove.py --artifact recognizer-fp32")
    for option in _TEXTS:
        parser.add_argument(f"--{option}", required=True, metavar="TEXT")
    parser.add_argument("--master", type=Path, metavar="ONNX", help="FP32 master (default: the recogniser)")
    parser.add_argument("--la", type=float, default=1.0, help="loss.la of its recipe (default: %(default)g)")
    parser.add_argument("--ua", type=float, default=100.0, help="loss.ua of its recipe (default: %(default)g)")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "openvino"], metavar="BACKEND")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=VERSION", help="may be repeated")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--single-file", type=Path, metavar="FILE.qcface")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        files = {option.replace("-", "_"): getattr(args, option.replace("-", "_")).read_bytes() for option in _FILES}
        bundle = make_bundle(
            BundleParts(
                **files,
                proofs=args.proofs.read_bytes() if args.proofs else b'{"proofs": []}',
                name=args.name,
                version=args.version,
                license=args.license_text,
                training_data=args.training_data,
                master_sha256=hashlib.sha256(args.master.read_bytes()).hexdigest() if args.master else None,
                la=args.la,
                ua=args.ua,
                runtimes=tuple(args.runtimes),
                tools=dict(item.split("=", 1) if "=" in item else (item, "unknown") for item in args.tool),
            )
        )
        write_bundle(bundle, args.output, args.single_file, overwrite=args.overwrite)
    except (QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"{args.output}: {bundle.manifest.name} {bundle.manifest.version}, contract {bundle.contract}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
