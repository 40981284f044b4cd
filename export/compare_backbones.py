"""Compare all backbones by parameters, multiply-adds and time on one thread, in float and in 8 bits.

Example: python export/compare_backbones.py --output backbones.md
Times are fastest / median / processor time, in ms, of one picture; weights are fresh. With other work on the machine
only the fastest and the processor time say something.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from qcface_export.backbone_comparison import CANDIDATES, RUNTIMES, compare_backbone, markdown_table  # noqa: E402
from qcface_export.errors import CalibrationError, ExportError  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; exit status 1 where a network could not be exported or a runtime is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(CANDIDATES), metavar="NAME", help="some networks only")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, help="runtimes (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=50, help="timed runs of each (default: %(default)s)")
    parser.add_argument("--no-int8", action="store_true", help="leave out the 8-bit files")
    parser.add_argument("--output", type=Path, help="also write the table here, as Markdown")
    options = parser.parse_args(argv)
    rows = []
    try:
        for name in options.only or CANDIDATES:
            rows.append(
                compare_backbone(
                    name, int8=not options.no_int8, repeats=options.repeats, runtimes=tuple(options.runtimes)
                )
            )
            print(f"{name}: done", file=sys.stderr)
    except (CalibrationError, ExportError, QCFaceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    table = markdown_table(rows)
    print(table)
    if options.output:
        options.output.write_text(table + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
