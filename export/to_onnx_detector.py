"""Export a detector checkpoint to ONNX.

Example: python export/to_onnx_detector.py --checkpoint runs/detector/checkpoint.pt --output detector.fp32.onnx
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "train"))

from qcface_export.detector_from_torch import export_detector


def main(argv: Sequence[str] | None = None) -> int:
    """Run the export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, help="checkpoint.pt of a training run")
    parser.add_argument("--output", type=Path, required=True, help="ONNX file to write")
    options = parser.parse_args(argv)
    size = export_detector(options.checkpoint, options.output)
    print(f"{options.output}: {size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
