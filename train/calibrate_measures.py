"""Place the scores of the SDK's quality measures by what they read on LFW, and write scoring.json.

    python train/calibrate_measures.py --lfw DATA/lfw --output sdk/qcface_sdk/quality/scoring.json

What an aligned crop shows (brightness, exposure, contrast, sharpness, eyes, mouth) is placed by measurement: 100 is
the median of clean faces, 50 (the limit of "poor") the value that 1 % of them lie beyond. Size, truncation and pose
cannot be read off aligned crops; their limits are chosen, and the file says so. Prints, for each measure, the share of
clean and of damaged faces that it calls poor.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from qcface_train.evaluation.lfw import read_lfw
from qcface_train.evaluation.measures import COVERINGS, place_scores, poor_shares


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 when the file is written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lfw", type=Path, required=True, help="folder or tar of aligned LFW crops")
    parser.add_argument("--output", type=Path, required=True, help="scoring.json to write")
    parser.add_argument("--faces", type=int, default=1500, help="people, one picture each (default: %(default)s)")
    arguments = parser.parse_args(argv)
    faces = read_lfw(arguments.lfw)
    _, first = np.unique(faces.subjects, return_index=True)
    crops = faces.crops[np.sort(first)[: arguments.faces]]
    half = len(crops) // 2
    document = place_scores(crops[:half], f"{half} people of LFW, aligned crops, one picture each")
    arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"poor on {len(crops) - half} other people, %:")
    for name, shares in poor_shares(crops[half:], document).items():
        print(f"{name:12s} " + "  ".join(f"{kind} {100 * share:.0f}" for kind, share in shares.items()))
    print(f"damage: level 4 of the ladder; {', '.join(COVERINGS)} are drawn over the crop")
    return 0


if __name__ == "__main__":
    sys.exit(main())
