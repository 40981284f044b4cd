"""Check a bundle's decisions on people and sources they were not calibrated on.

Example: python train/evaluate_decisions.py --model BUNDLE --lfw DATA/lfw --train DATA/train --output report
Thresholds, gates and the factor for fused templates of the people of LFW's folds 1-5 on those of folds 6-10, and the
reverse; thresholds of all of LFW on the identities held out from training, by source. Writes decisions.json, .md and
.html.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.bundle import Bundle
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation import rates_by_group
from qcface_sdk.image import decode_image
from qcface_train.data import split_identities
from qcface_train.evaluation.decision_report import to_markdown
from qcface_train.evaluation.lfw import read_lfw
from qcface_train.evaluation.recognizer import Recognizer
from qcface_train.evaluation.study import run_study, study_parser
from qcface_train.evaluation.transfer import (
    FMRS,
    check_conditioned,
    check_fused,
    check_gates,
    check_thresholds,
    make_half,
    split_by_folds,
)


def _parser() -> argparse.ArgumentParser:
    parser = study_parser(__doc__, replicates=500)
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="training shards with classes.csv")
    parser.add_argument("--held-out", type=int, default=120, help="as in the recipe (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="data seed of the recipe (default: %(default)s)")
    return parser


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    bundle = Bundle.load(args.model)
    faces = read_lfw(args.lfw)
    network = Recognizer(args.model, backend="onnxruntime", threads=args.threads)
    embeddings = network.embed(faces.crops, "LFW")
    people = split_by_folds(faces)
    halves = [make_half(embeddings, faces.subjects, part) for part in people]
    gates = bundle.quality_map(network.artifact, "onnxruntime")
    minima = (gates.probe_gate.minimum, gates.enroll_gate.minimum)
    figures: dict[str, Any] = {"model": repr(bundle), "people": [len(part) for part in people], "halves": {}}
    for name, (known, other) in (("1-5 to 6-10", halves), ("6-10 to 1-5", halves[::-1])):
        figures["halves"][name] = {
            "impostors": [known.scores.impostor_count, other.scores.impostor_count],
            "thresholds": check_thresholds(known, other, replicates=args.replicates),
            "gates": check_gates(known, other, minima, (network.la, network.ua)),
            "fused": check_fused(known, other, replicates=args.replicates),
            "conditioned": check_conditioned(known, other),
        }
    if args.train:
        figures["held_out"] = measure_held_out(args, bundle, network)
    network.close()
    return figures


def measure_held_out(args: argparse.Namespace, bundle: Bundle, network: Recognizer) -> dict[str, Any]:
    """Return the rates of the bundle's thresholds on the identities held out from training, together and by source."""
    crops, labels = read_held_out(args.train, args.held_out, args.seed)
    with (args.train / "classes.csv").open(newline="", encoding="utf-8") as file:
        source = {int(row["label"]): row["source_set"] for row in csv.DictReader(file)}
    embeddings = network.embed(crops, "held out")
    sets = np.array([source[int(label)] for label in labels])
    rates = {
        f"{fmr:g}": [asdict(group) for group in rates_by_group(embeddings, labels, sets, row.threshold)]
        for fmr in FMRS
        for row in [bundle.threshold(network.artifact, "onnxruntime", fmr)]
    }
    return {"identities": len(np.unique(labels)), "pictures": len(labels), "rates": rates}


def read_held_out(folder: Path, held_out: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return BGR crops and labels of the identities that `split_identities` keeps from training."""
    pictures: dict[str, bytes] = {}
    labels: dict[str, int] = {}
    for shard in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(fileobj=io.BytesIO(shard.read_bytes())) as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.isfile() else None
                if stream is None:
                    continue
                key, _, ending = member.name.partition(".")
                if ending == "cls":
                    labels[key] = int(stream.read())
                elif ending == "webp":
                    pictures[key] = stream.read()
    keys = sorted(labels.keys() & pictures.keys())
    if not keys:
        raise InputError(f"{folder} holds no labelled shards (*.tar.gz); pass the training folder")
    numbers = np.array([labels[key] for key in keys], np.int64)
    rows = split_identities(numbers, held_out, seed).held_out_rows
    crops = np.stack([decode_image(pictures[keys[row]], name=keys[row]) for row in rows])
    return crops, numbers[rows]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    return run_study(_parser(), measure, to_markdown, "decisions", argv)


if __name__ == "__main__":
    raise SystemExit(main())
