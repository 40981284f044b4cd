"""Train the face detector; run again with the same arguments to continue after an interruption.

Example: python train/train_detector.py --config train/configs/detector.yaml --data DETECT_FOLDER --teacher TEACHER.onnx
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from qcface_train.detector.arguments import DetectorArguments
from qcface_train.detector.loop import DetectorTraining


def main(argv: Sequence[str] | None = None) -> int:
    """Run the training; exit status 1 for settings or data that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "configs" / "detector.yaml")
    parser.add_argument("--data", help="folder with labels.jsonl and images")
    parser.add_argument("--teacher", help="ONNX detector of the same layout")
    parser.add_argument("--output", help="folder of the run")
    parser.add_argument("--steps", type=int, help="length of the schedule")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    try:
        arguments = DetectorArguments.from_yaml(options.config).changed(
            data=options.data, teacher=options.teacher, output=options.output, steps=options.steps
        )
        torch.set_num_threads(arguments.threads)
        cv2.setNumThreads(arguments.threads)
        training = DetectorTraining.from_arguments(arguments)
    except (OSError, TypeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    training.run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
