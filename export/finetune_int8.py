r"""Fine-tune a trained network under TensorRT's 8-bit rounding (quantisation-aware training) and emit its INT8 files.

Rounds where and as the TensorRT file will (torchao PT2E; in a checkout `pip install ".[qat]"`), trains weights and
ranges with the loss, pictures and class weights of the recipe, held to the FP32 network's embeddings, and proves the
INT8 file before and after on pictures of the recipe's held-out identities, both against the FP32 network from before.

    python export/finetune_int8.py train/configs/edge.yaml --init RUN/checkpoint.pt --data DATA --out QAT --steps 300

Writes to the folder --out:

    recognizer.qat.fp32.onnx        the fine-tuned weights without rounding, the master of the INT8 files
    recognizer.qat.table.json       its calibration table, with the learned ranges
    recognizer.trt.int8.onnx        for TensorRT, the rest in FP16
    recognizer.trt.int8-fp32.onnx   the same integers with FP32 floats: TensorRT 8.6, OpenVINO, and what is proved here
    proof.json, proof.html          the proof; proof-before.html the one without fine-tuning
    log.jsonl, tuning.pt            the losses, and the state that --resume goes on from

Exit status 0: written. 1: something cannot be used. 3: refused by the gate; no INT8 file is written.
130: interrupted by Ctrl-C; --resume continues exactly.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from torch import nn  # noqa: E402

from qcface_export.calibration import calibrate  # noqa: E402
from qcface_export.calibration_table import CalibrationTable  # noqa: E402
from qcface_export.embedders import FileEmbedder  # noqa: E402
from qcface_export.emit import emit_trt  # noqa: E402
from qcface_export.equalization import equalize  # noqa: E402
from qcface_export.errors import ExportError, GateError  # noqa: E402
from qcface_export.files import write_whole  # noqa: E402
from qcface_export.onnx_from_torch import (  # noqa: E402
    fold_batch_norms,
    folded_to_onnx,
    network_from_weights,
    with_weights_of,
)
from qcface_export.pictures import PictureSet  # noqa: E402
from qcface_export.proof import (  # noqa: E402
    DEFAULT_LIMITS,
    Limit,
    ProofPictures,
    ProofReport,
    prove,
    read_limits,
    render_proof,
)
from qcface_export.proof.report import proofs_json  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402
from qcface_train.arguments import Recipe, RecipeError  # noqa: E402
from qcface_train.checkpoint import CheckpointError  # noqa: E402
from qcface_train.faces import DataError  # noqa: E402

FAILED, INTERRUPTED = 3, 130
_MASTER = ("recognizer.qat.fp32.onnx", "recognizer.qat.table.json")
_RESULTS = ("recognizer.trt.int8.onnx", "recognizer.trt.int8-fp32.onnx", "proof.json")
_BEGUN = ("begun.fp32.onnx", "begun.table.json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="YAML recipe of the training that made the weights")
    parser.add_argument(
        "--init", type=Path, required=True, metavar="WEIGHTS", help="its checkpoint.pt, or weights.pt with a teacher"
    )
    parser.add_argument("--data", type=Path, default=Path(), help="folder with the recipe's pictures and teachers/")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the files go")
    parser.add_argument("--steps", type=int, default=300, help="batches to fine-tune on (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="pictures of a step (default: %(default)s)")
    parser.add_argument(
        "--rate",
        type=float,
        default=1e-4,
        help="learning rate, relative to each weight's size; 0 keeps weights (default: %(default)s)",
    )
    parser.add_argument(
        "--step-rate",
        type=float,
        default=2e-2,
        help="that of the activations' ranges, in octaves; 0 keeps them (default: %(default)s)",
    )
    parser.add_argument(
        "--closeness", type=float, default=100.0, help="weight of the distance to FP32 (default: %(default)s)"
    )
    parser.add_argument(
        "--training-loss", type=float, default=0.1, help="weight of the recipe's loss (default: %(default)s)"
    )
    parser.add_argument("--pictures", type=int, default=256, help="to calibrate on (default: %(default)s)")
    parser.add_argument("--no-equalization", action="store_true", help="leave the ranges of the channels as they are")
    parser.add_argument("--proof-pictures", type=int, default=400, help="held-out ones (default: %(default)s)")
    parser.add_argument("--ladder-faces", type=int, default=25, help="faces to damage (default: %(default)s)")
    parser.add_argument(
        "--runtime",
        choices=("onnxruntime", "openvino"),
        default="onnxruntime",
        help="that proves the files; openvino is faster at these (default: %(default)s)",
    )
    parser.add_argument("--limits", type=Path, default=DEFAULT_LIMITS, metavar="TOML", help="limits of the gate")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/qcface/faces", help="folder for decoded pictures"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    args = parser.parse_args(argv)
    # A shell starts background jobs with SIGINT ignored; a run is mostly a background job.
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stdout)
    logging.getLogger("qcface_train").setLevel(logging.INFO)  # the exporter's own news is of no use here
    try:
        _finetune(args)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; continue with --resume", file=sys.stderr)
        return INTERRUPTED
    except GateError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return FAILED
    except (ExportError, QCFaceError, RecipeError, CheckpointError, DataError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _finetune(args: argparse.Namespace) -> None:
    from qcface_export.qat import Placement, Tuner, Tuning, tuned_table
    from qcface_export.qat.lesson import calibration_pictures, open_lesson, proof_pictures, take_lesson

    tuning = Tuning(args.steps, args.rate, args.step_rate, args.closeness, args.training_loss)
    limits, recipe = read_limits(args.limits), Recipe.from_yaml(args.recipe)
    network = fold_batch_norms(network_from_weights(args.init, args.recipe)).requires_grad_(False)
    lesson = open_lesson(recipe, args.data, args.init, args.out, args.cache, batch=args.batch)
    # Files of an earlier run must not stand beside the pages of a refused one.
    for name in (*_MASTER, *_RESULTS):
        (args.out / name).unlink(missing_ok=True)
    if not args.resume:
        _begin(network, calibration_pictures(lesson, args.pictures), args)
    master, table = _read_begun(args.out)
    tuner = Tuner(with_weights_of(network, master), Placement.of(master, table), lesson.objective, tuning)
    if args.resume:
        tuner.resume(args.out)
    take_lesson(tuner, lesson, args.out)
    held_out = proof_pictures(lesson, args.proof_pictures)
    pictures = ProofPictures("held-out identities", held_out.crops, None, min(args.ladder_faces, len(held_out.crops)))
    new_master, new_table = tuned_table(tuner.result(), table)
    twin = emit_trt(new_master, new_table, "int8-fp32")
    before, after = (
        _judge(master, model, pictures, limits, args) for model in (emit_trt(master, table, "int8-fp32"), twin)
    )
    _print_change(before, after)
    write_whole(args.out / "proof-before.html", render_proof(before).encode())
    write_whole(args.out / "proof.html", render_proof(after).encode())
    # Not a file to ship, but what a search for layers in float begins with where the gate refuses all in 8 bits.
    for name, data in zip(_MASTER, (new_master, new_table.to_json()), strict=True):
        write_whole(args.out / name, data)
    after.check()
    results = (emit_trt(new_master, new_table, "int8"), twin, proofs_json([after]))
    for name, data in zip(_RESULTS, results, strict=True):
        write_whole(args.out / name, data)
    print(f"written to {args.out}")


def _begin(network: nn.Module, pictures: PictureSet, args: argparse.Namespace) -> None:
    """Write what fine-tuning begins with: the FP32 master with evened channels, as in a release, and its table."""
    master = folded_to_onnx(network)
    if not args.no_equalization:
        equalized = equalize(master, pictures)
        print(equalized)
        master = equalized.model
    write_whole(args.out / _BEGUN[0], master)
    write_whole(args.out / _BEGUN[1], calibrate(master, pictures).to_json())


def _read_begun(folder: Path) -> tuple[bytes, CalibrationTable]:
    """Read what the fine-tuning begins with; when it is resumed, exporting again need not give equal bytes."""
    master, table = (folder / name for name in _BEGUN)
    if not (master.is_file() and table.is_file()):
        raise CheckpointError(f"no fine-tuning to resume in {folder}; leave --resume out to begin one")
    return master.read_bytes(), CalibrationTable.from_json(table.read_bytes())


def _judge(
    master: bytes, model: bytes, pictures: ProofPictures, limits: Mapping[str, Limit], args: argparse.Namespace
) -> ProofReport:
    reference, candidate = FileEmbedder(master, "onnxruntime"), FileEmbedder(model, args.runtime)
    name = f"FP32 of {args.init.name} on onnxruntime"
    try:
        return prove(
            reference,
            candidate,
            pictures,
            limits,
            artifact="recognizer-trt-int8-fp32",
            runtime=args.runtime,
            reference_name=name,
        )
    finally:
        reference.close()
        candidate.close()


def _print_change(before: ProofReport, after: ProofReport) -> None:
    print(f"against the FP32 network from before, on {after.origin}:")
    for old, new in zip(before.figures, after.figures, strict=True):
        verdict = "ok  " if new.passed else "FAIL"
        print(f"{verdict} {new.name}: {old.value:.5g} before, {new.value:.5g} after (limit {new.limit})")
    if after.unjudged:
        print(f"not judged: {', '.join(after.unjudged)}")
    verdicts = ["passed" if report.passed else "failed" for report in (before, after)]
    print(f"without fine-tuning {verdicts[0]}, with it {verdicts[1]}")


if __name__ == "__main__":
    raise SystemExit(main())
