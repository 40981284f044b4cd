"""Draw the page of a training run: curves of losses, p, norms, learning rate, and evaluations over pictures seen.

Example: python train/report.py ~/runs/tiny
Writes report.html into the run's folder, also while the run goes on. Exit status 1: the folder holds no run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from qcface_train.run_report import ReportError, write_run_report


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, as given to train.py with --out")
    try:
        print(f"report: {write_run_report(parser.parse_args(argv).run)}")
    except (ReportError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
