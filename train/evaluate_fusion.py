"""Measure how frames are best fused, on simulated tracks of LFW people with at least six pictures.

Example: python train/evaluate_fusion.py --model BUNDLE --lfw DATA/lfw --output report
Each of five frames is damaged by a random step of the ladder; the template is compared with one enrolled picture, and
with all pictures of all other people. Writes fusion.json and fusion.md. Exit status 1: model or data cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from qcface_sdk.bundle import Bundle
from qcface_sdk.calibration import Calibration
from qcface_sdk.deciding import OUTLIER_SHARE
from qcface_sdk.quality import QualityScale
from qcface_train.evaluation.fusion_study import FMR, study_outliers, study_quality, study_rules
from qcface_train.evaluation.lfw import read_lfw
from qcface_train.evaluation.recognizer import Recognizer
from qcface_train.evaluation.study import run_study, study_parser
from qcface_train.evaluation.tracks import simulate_tracks


def _parser() -> argparse.ArgumentParser:
    parser = study_parser(__doc__, replicates=1000)
    parser.add_argument("--tracks", type=int, default=4, help="tracks of each person (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the tracks; train/evaluate.py uses 1")
    return parser


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    faces = read_lfw(args.lfw)
    bundle = Bundle.load(args.model)
    artifact = bundle.artifact("onnxruntime")
    calibration = Calibration.of_bundle(bundle, artifact.id, "onnxruntime")
    network = Recognizer(args.model, backend="onnxruntime", threads=args.threads)
    embeddings = network.embed(faces.crops, "LFW")
    tracks = simulate_tracks(network.embed, faces, each=args.tracks, seed=args.seed)
    network.close()
    loosest = max((row for row in calibration.thresholds if row.supported), key=lambda row: row.fmr)
    shares = (-1.0, 0.0, 0.3, OUTLIER_SHARE, 1.0)
    bounds = {"none" if share < 0 else f"{share:g} x": share * abs(loosest.threshold) for share in shares}
    bounds["none"] = -1.0
    scale = QualityScale(calibration.quality.knots, calibration.quality.fused)
    return {
        "model": repr(bundle),
        "tracks": len(tracks.person),
        "people": len(set(tracks.person.tolist())),
        "fmr": FMR,
        "rules": study_rules(tracks, embeddings, replicates=args.replicates),
        "outliers": study_outliers(tracks, embeddings, bounds),
        "quality": study_quality(tracks, embeddings, scale, calibration.threshold(FMR).threshold, calibration.stretch),
    }


def to_markdown(figures: dict[str, Any]) -> str:
    """Return the figures as tables."""
    lines = [
        f"{figures['tracks']} tracks of {figures['people']} people, five frames each; FNMR at FMR {figures['fmr']:g}, "
        "every rule at its own threshold; intervals: 95 % bootstrap by identity, ratios paired.",
        "",
        "| weight of a frame | FNMR | interval | FNMR of ours / this one |",
        "|---|---|---|---|",
    ]
    for name, row in figures["rules"].items():
        low, high = (100 * value for value in row["interval"])
        ratio = "(ours)"
        if "ratio" in row:
            ratio = f"{row['ratio']:.3f} ({row['ratio_interval'][0]:.3f} to {row['ratio_interval'][1]:.3f})"
        lines.append(f"| {name} | {100 * row['fnmr']:.1f} % | {low:.1f} to {high:.1f} % | {ratio} |")
    lines += [
        "",
        "| outlier below, share of the loosest threshold | FNMR, clean tracks | frames kept | FNMR, one frame of a "
        "stranger | stranger kept |",
        "|---|---|---|---|---|",
    ]
    for name, row in figures["outliers"].items():
        clean, mixed = row["clean"], row["with a stranger"]
        lines.append(
            f"| {name} | {100 * clean['fnmr']:.1f} % | {100 * clean['kept']:.1f} % | {100 * mixed['fnmr']:.1f} % | "
            f"{100 * mixed['stranger_kept']:.1f} % |"
        )
    lines += [
        "",
        "| frames | expected FNMR | at the threshold of single pictures: FNMR | FMR | threshold times | FNMR | FMR |",
        "|---|---|---|---|---|---|---|",
    ]
    for count, row in figures["quality"].items():
        expected, measured, asked = (f"{100 * row[name]:.1f} %" for name in ("expected", "measured", "fnmr_asked"))
        lines.append(
            f"| {count} | {expected} | {measured} | {row['fmr']:.2g} | {row['factor']:.3f} | {asked} | "
            f"{row['fmr_asked']:.2g} |"
        )
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    return run_study(_parser(), measure, to_markdown, "fusion", argv)


if __name__ == "__main__":
    raise SystemExit(main())
