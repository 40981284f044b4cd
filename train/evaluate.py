"""Evaluate a recogniser (ONNX file or bundle) on LFW and write a report.

Example: python train/evaluate.py --model recognizer.fp32.onnx --lfw DATA/lfw --output report
Writes evaluation.json, report.html, and thresholds.json and quality.json as export/pack_bundle.py takes them.
Exit status 1: the model or the data cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from qcface_sdk.errors import QCFaceError
from qcface_train.evaluation.model_card import render_markdown
from qcface_train.evaluation.report import summary_lines
from qcface_train.evaluation.run import Options, evaluate, write_quality, write_reports, write_thresholds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="ONNX file, bundle folder or .qcface file")
    parser.add_argument("--lfw", type=Path, required=True, help="tar or folder of Name/Name_0001.webp, with pairs.txt")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the report goes")
    parser.add_argument("--data-name", default="LFW", help="name of the data in the report (default: %(default)s)")
    parser.add_argument("--backend", default="auto", help="runtime (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="file of a bundle (default: %(default)s)")
    parser.add_argument("--la", type=float, help="loss.la of an ONNX file's recipe (default: 1; a bundle has its own)")
    parser.add_argument("--ua", type=float, help="loss.ua likewise (default: 100)")
    parser.add_argument("--threads", type=int, default=1, help="threads of one run (default: %(default)s)")
    parser.add_argument("--ladder-faces", type=int, default=200, help="faces to damage (default: %(default)s)")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples (default: %(default)s)")
    parser.add_argument("--retry-fnmr", type=float, default=0.9, help="expected FNMR to retry at (%(default)s)")
    parser.add_argument("--enroll-fnmr", type=float, default=0.5, help="expected FNMR not to enrol at (%(default)s)")
    parser.add_argument("--tracks", type=int, default=4, help="tracks a person, for fused quality (%(default)s)")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="other quality networks to judge beside it")
    parser.add_argument("--thresholds", type=Path, metavar="FILE", help="also write thresholds.json here")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the figures as Markdown here")
    parser.add_argument("--quality", type=Path, metavar="FILE", help="also write quality.json here")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    arguments = vars(parser.parse_args(argv))
    options = Options(**{field.name: arguments[field.name] for field in fields(Options)})
    try:
        figures = evaluate(options, ["train/evaluate.py", *(sys.argv[1:] if argv is None else argv)])
        print("\n".join(summary_lines(figures)))
        write_reports(figures, arguments["output"])
        if arguments["thresholds"]:
            write_thresholds(figures, arguments["thresholds"])
        if arguments["markdown"]:
            arguments["markdown"].write_text(render_markdown(figures), encoding="utf-8")
        if arguments["quality"]:
            write_quality(figures, arguments["quality"])
    except (QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"report: {arguments['output'] / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
