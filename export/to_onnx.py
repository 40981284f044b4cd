"""Export a recogniser checkpoint to FP32 ONNX, compared with PyTorch before it is written.

Two steps make 8 bits cost less later; both need --pictures, and export/release.py does them by itself: --equalize gives
the channels of each activation a like range, which changes no embedding; --round-weights puts the weights onto their
8-bit grids, which hardly changes any.

Example: python export/to_onnx.py --checkpoint ~/runs/edge/checkpoint.pt --output recognizer.fp32.onnx
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from qcface_export.bundle_packing import INPUT  # noqa: E402
from qcface_export.calibration import network_input  # noqa: E402
from qcface_export.equalization import equalize  # noqa: E402
from qcface_export.errors import ExportError  # noqa: E402
from qcface_export.face_check import check_faces  # noqa: E402
from qcface_export.files import write_whole  # noqa: E402
from qcface_export.onnx_from_torch import checked_onnx, network_from_checkpoint  # noqa: E402
from qcface_export.pictures import read_pictures, with_damage  # noqa: E402
from qcface_export.weight_rounding import round_weights  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402
from qcface_train.checkpoint import CheckpointError  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Run the export; exit status 1 for a checkpoint that cannot be used or a file that would not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt of a training run")
    parser.add_argument("--output", type=Path, required=True, help="ONNX file to write")
    parser.add_argument(
        "--pictures", type=Path, nargs="+", help="aligned crops to compare on (default: drawn patterns)"
    )
    parser.add_argument("--equalize", action="store_true", help="even out the channels; needs --pictures, 256 are used")
    parser.add_argument("--round-weights", action="store_true", help="round the weights to 8 bits, likewise")
    options = parser.parse_args(argv)
    steps = [equalize] * options.equalize + [round_weights] * options.round_weights
    if steps and not options.pictures:
        parser.error("--equalize and --round-weights need --pictures, aligned faces like those the network will see")
    try:
        pictures = read_pictures(options.pictures, 256 if steps else 64) if options.pictures else None
        inputs = network_input(pictures.crops[:64], INPUT) if pictures else None
        model, agreement = checked_onnx(network_from_checkpoint(options.checkpoint), inputs)
        if steps and pictures:
            check_faces(pictures)
            seen = with_damage(pictures)
            for step in steps:
                prepared = step(model, seen)
                model = prepared.model
                print(prepared)
        # Written when all that was asked for is done: a step that refuses leaves what was there.
        write_whole(options.output, model)
    except (CheckpointError, ExportError, QCFaceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {options.output.stat().st_size} bytes, {agreement}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
