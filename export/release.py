r"""From a trained checkpoint to a packed bundle: FP32, INT8 for ONNX Runtime and for OpenVINO, measured and proven.

Steps: export to ONNX and compare with PyTorch; even out the channels, which changes no embedding; round the weights to
8 bits, so that outputs hardly move; calibrate and search the ranges; quantise, keeping in float what must be; prove
each INT8 file on the labelled set; measure thresholds, quality and gates of each; choose the layers that build_trt.py
keeps in float; time all; pack, with the calibration table. Each step is kept in --work: stop it at any time and give
the same command again. Texts, detector and card come from the bundle --like unless given; la and ua from the
checkpoint or the recipe, or for --master and older checkpoints from --like too.

Example: python export/release.py --checkpoint ~/runs/edge/checkpoint.pt --calibration DATA/train DATA/unlabelled \
             --pairs DATA/lfw --work ~/release --output ~/release/bundle --version 0.4.0
Exit status 0: packed. 1: something cannot be used. 3: a file failed its proof; nothing was packed (reports in --work).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from qcface_export.bundle_packing import CARD_FILE, INPUT, BundleParts  # noqa: E402
from qcface_export.calibration import network_input  # noqa: E402
from qcface_export.errors import ExportError, GateError  # noqa: E402
from qcface_export.files import write_whole  # noqa: E402
from qcface_export.kept_steps import kept_name  # noqa: E402
from qcface_export.layer_choice import CHOICE_FILE, TABLE_FILE  # noqa: E402
from qcface_export.master_preparation import equalized_master, rounded_master  # noqa: E402
from qcface_export.onnx_from_torch import checked_onnx, network_from_checkpoint, network_from_weights  # noqa: E402
from qcface_export.pictures import read_pictures  # noqa: E402
from qcface_export.proof import DEFAULT_LIMITS, read_limits  # noqa: E402
from qcface_export.release import TARGETS, Release, Released, ReleaseOptions  # noqa: E402
from qcface_export.release_packing import pack  # noqa: E402
from qcface_sdk.bundle import Bundle  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402
from qcface_sdk.strict_json import dump_object, parse_object  # noqa: E402
from qcface_train.arguments import Recipe, RecipeError  # noqa: E402
from qcface_train.checkpoint import CheckpointError, load_part  # noqa: E402

FAILED = 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="checkpoint.pt of a training run")
    source.add_argument("--weights", type=Path, help="weights.pt of a run; needs --recipe")
    source.add_argument("--master", type=Path, metavar="ONNX", help="FP32 ONNX exported before")
    parser.add_argument("--recipe", type=Path, metavar="YAML", help="recipe of --weights, for the architecture")
    parser.add_argument("--calibration", type=Path, nargs="+", required=True, help="aligned faces: folders, tar files")
    parser.add_argument("--pairs", type=Path, required=True, help="labelled set, not trained on: Name/Name_0001.webp")
    parser.add_argument("--pairs-name", default="LFW", help="its name in the manifest (default: %(default)s)")
    parser.add_argument("--work", type=Path, required=True, metavar="FOLDER", help="where the steps are kept")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="bundle to write")
    parser.add_argument("--single-file", type=Path, metavar="FILE.qcface", help="the same as one file")
    parser.add_argument("--like", type=Path, help="bundle to take detector, card and texts of (default: the shipped)")
    parser.add_argument("--card", type=Path, help="model card, Markdown")
    for text in ("name", "version", "license-text", "training-data"):
        parser.add_argument(f"--{text}", help="default: that of --like")
    defaults = ReleaseOptions((), Path(), Path())
    parser.add_argument("--pictures", type=int, default=defaults.pictures, help="to calibrate on (%(default)s)")
    parser.add_argument(
        "--search-pictures", type=int, default=defaults.search_pictures, help="to search on (%(default)s)"
    )
    parser.add_argument(
        "--most-in-float", type=int, default=defaults.most_in_float, help="layers, beside the last (%(default)s)"
    )
    parser.add_argument("--percentile", type=float, default=defaults.percentile, help="of the table (%(default)s)")
    parser.add_argument("--ladder-faces", type=int, default=defaults.ladder_faces, help="to damage (%(default)s)")
    parser.add_argument("--replicates", type=int, default=defaults.replicates, help="of a bootstrap (%(default)s)")
    parser.add_argument("--limits", type=Path, default=DEFAULT_LIMITS, metavar="TOML", help="of the gate")
    parser.add_argument("--no-equalization", action="store_true", help="leave the ranges of the channels as they are")
    parser.add_argument("--no-rounding", action="store_true", help="leave the FP32 file's weights off the 8-bit grids")
    parser.add_argument("--no-range-search", action="store_true", help="take ranges as --percentile says")
    parser.add_argument("--no-tensorrt", action="store_true", help="choose no layers for build_trt.py, which then does")
    parser.add_argument("--drop-failed", action="store_true", help="pack without the files that fail; still status 0")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    args = parser.parse_args(argv)
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:6.0f} s] {text}", flush=True)

    try:
        return _release(args, say)
    except GateError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return FAILED
    except (ExportError, CheckpointError, RecipeError, QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


def _release(args: argparse.Namespace, say: Callable[[str], None]) -> int:
    options = ReleaseOptions(
        args.calibration,
        args.pairs,
        args.work,
        pairs_name=args.pairs_name,
        pictures=args.pictures,
        search_pictures=args.search_pictures,
        percentile=args.percentile,
        search_ranges=not args.no_range_search,
        most_in_float=args.most_in_float,
        ladder_faces=args.ladder_faces,
        replicates=args.replicates,
        limits=read_limits(args.limits),
        lengths=_lengths(args),
    )
    parts = replace(_parts(args), la=options.lengths[0], ua=options.lengths[1])
    master = _master(args, say)
    if not args.no_equalization:
        master = equalized_master(master, options, say)
    if not args.no_rounding:
        master = rounded_master(master, options, say)
    release = Release(master, options, say)
    released: list[Released] = []
    for target in TARGETS:
        try:
            released.append(release.run(target))
        except GateError as error:
            if not args.drop_failed:
                raise
            say(f"left out: {error}")
            continue
        say("\n".join([*released[-1].search, *released[-1].proof.lines()]))
    parts = replace(parts, further=_for_tensorrt(release, say, choose=not args.no_tensorrt))
    latencies = release.latencies(released)
    say("\n".join(["one face, one thread:", *map(str, latencies)]))
    bundle = pack(release, released, latencies, parts, args.output, args.single_file)
    sizes = ", ".join(f"{name} {record.bytes:,} bytes" for name, record in bundle.manifest.files.items())
    say(f"{args.output}: {bundle.manifest.name} {bundle.manifest.version}, contract {bundle.contract}; {sizes}")
    return 0


def _for_tensorrt(release: Release, say: Callable[[str], None], *, choose: bool) -> dict[str, bytes]:
    """Return what `build_trt.py` starts from: the table, and the layers in float if some pass the gate."""
    files = {TABLE_FILE: release.table().to_json()}
    if choose:
        try:
            choice = release.tensorrt_layers()
        except GateError as error:
            # No file for TensorRT is packed, so none fails here; build_trt.py looks and judges for itself.
            say(f"no layers chosen for TensorRT: {error}")
        else:
            say("\n".join(["INT8 for TensorRT, judged with FP32 floats:", *choice.search, *choice.proof]))
            files[CHOICE_FILE] = choice.to_json()
    return files


def _master(args: argparse.Namespace, say: Callable[[str], None]) -> bytes:
    if args.master:
        data: bytes = args.master.read_bytes()
        return data
    source = args.checkpoint or args.weights
    if args.weights and not args.recipe:
        raise ExportError("--weights hold no architecture; give --recipe, the YAML file of the run")
    # Weights and recipe make the master; the same ones are not exported twice.
    given = source.read_bytes() + (args.recipe.read_bytes() if args.recipe else b"")
    path = args.work / f"{kept_name('exported', hashlib.sha256(given).hexdigest())}.onnx"
    if not path.is_file():
        say(f"exporting {source} to ONNX")
        network = network_from_checkpoint(source) if args.checkpoint else network_from_weights(source, args.recipe)
        model, agreement = checked_onnx(network, network_input(read_pictures(args.calibration, 64).crops, INPUT))
        write_whole(path, model)
        say(f"agrees with PyTorch on faces: {agreement}")
    return path.read_bytes()


def _lengths(args: argparse.Namespace) -> tuple[float, float]:
    """Return the la and ua that the network was trained for, or those of --like where nothing says so."""
    if args.weights and args.recipe:
        loss = Recipe.from_yaml(args.recipe).loss
        return loss.la, loss.ua
    # Checkpoints from before these were kept do not say.
    if args.checkpoint and (kept := load_part(args.checkpoint, "lengths")):
        la, ua = kept
        return la, ua
    embedding = Bundle.load(args.like).manifest.embedding
    return embedding.la, embedding.ua


def _parts(args: argparse.Namespace) -> BundleParts:
    like = Bundle.load(args.like)
    manifest = like.manifest
    detector = parse_object(dump_object(manifest.detector), "detector")
    del detector["file"]
    return BundleParts(
        recognizer=b"",
        detector=like.read(manifest.detector.file),
        card=args.card.read_bytes() if args.card else like.read(CARD_FILE),
        thresholds=b"",
        quality=b"",
        detector_info=json.dumps(detector).encode(),
        name=args.name or manifest.name,
        version=args.version or manifest.version,
        license=args.license_text or manifest.license,
        training_data=args.training_data or manifest.training_data,
        runtimes=("onnxruntime", "openvino"),
    )


if __name__ == "__main__":
    raise SystemExit(main())
