"""Measure a detector beside the teacher and print one table; the score threshold comes from the training photos.

Example: python train/evaluate_detector.py --model detector.onnx --teacher yunet.onnx --data FOLDER --json out.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from qcface_train.detector.consensus import with_consensus
from qcface_train.detector.data import read_photos
from qcface_train.detector.distillation import Teacher
from qcface_train.detector.evaluation import TEACHER_THRESHOLD, OnnxDetector, choose_threshold, measure_all
from qcface_train.detector.report import report_lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the measurement; exit status 1 for files that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="ONNX file to measure")
    parser.add_argument("--teacher", type=Path, required=True, help="ONNX file to compare with")
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.jsonl and images")
    parser.add_argument("--video", type=Path, help="clip without faces")
    parser.add_argument("--threshold", type=float, help="score threshold instead of one from the training photos")
    parser.add_argument("--limit", type=int, default=200, help="most faces a size in the sweep")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args(argv)
    try:
        model, teacher = OnnxDetector(options.model, 0.6), OnnxDetector(options.teacher, TEACHER_THRESHOLD)
        choice = None
        if options.threshold is None:
            choice = choose_threshold(model, teacher, read_photos(options.data, "train"))
            print(f"threshold from the training photos: {choice}")
        model.threshold = options.threshold if choice is None else choice["threshold"]
        photos = read_photos(options.data, "val")
        steady = with_consensus(Teacher(options.teacher), photos, label_votes=0)
        figures = measure_all((model, teacher), photos, options.video, limit=options.limit, steady=steady)
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("\n".join(report_lines(figures)))
    if options.json:
        figures = {"command": ["train/evaluate_detector.py", *(argv or sys.argv[1:])], "choice": choice, **figures}
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
