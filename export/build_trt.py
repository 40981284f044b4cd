"""Build TensorRT engines of a recogniser on the machine they are for, prove them, and install them for the SDK.

With no further arguments, `python export/build_trt.py --int8` builds the shipped model: it writes the typed ONNX
files, proves the INT8 one on the CPU, builds INT8 and FP16 engines, prints how fast each is, proves them on the GPU and
writes a bundle for FaceEngine(BUNDLE, backend="tensorrt"). An engine that fails its proof, or an INT8 engine that is
slower than FP16, is not installed. Written for TensorRT 8.6 to 11.4; see export/TENSORRT.md.

Example: python export/build_trt.py --int8 --pairs lfw/ --output door-3
Exit status 0: installed (with --dry-run: the files were made and proved). 1: something cannot be used. 2: wrong usage.
3: a proof failed. 4: no GPU here, so the files were made and proved on the CPU and the rest is printed. 5: INT8 is
slower than FP16.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / folder) for folder in ("export", "train", "sdk") if str(_ROOT / folder) not in sys.path]

from qcface_export.errors import ExportError, GateError  # noqa: E402
from qcface_export.files import write_whole  # noqa: E402
from qcface_export.proof import DEFAULT_LIMITS, ProofReport, render_proof  # noqa: E402
from qcface_export.tensorrt import Request, TypedFiles, build_on_gpu, install, make_typed_files  # noqa: E402
from qcface_export.tensorrt.engines import SlowerError, check_built  # noqa: E402
from qcface_export.tensorrt.request import artifact_id, file_name  # noqa: E402
from qcface_export.tensorrt.typed_files import QUANTISED, TWIN, parse_with_rtx, proof_pictures  # noqa: E402
from qcface_sdk.bundle import Bundle  # noqa: E402
from qcface_sdk.errors import BackendUnavailableError, QCFaceError  # noqa: E402
from qcface_sdk.runtime.trt_build import PRECISIONS, BuildOptions, ShapeRange  # noqa: E402
from qcface_sdk.runtime.trt_open import TrtEnvironment, trt_environment  # noqa: E402

FAILED, NO_GPU, SLOWER = 3, 4, 5
_MEANING = {
    "int8": "INT8 with FP16 floats: for TensorRT 10 and 11",
    TWIN: "INT8 with FP32 floats: for TensorRT 8.6, OpenVINO, and the proof on the CPU",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_argument_group("what to build")
    for precision in PRECISIONS:
        what.add_argument(f"--{precision}", dest="precisions", action="append_const", const=precision,
                          help=f"build {precision.upper()}")  # fmt: skip
    what.add_argument("--model", metavar="BUNDLE", help="folder or .qcface file (default: the shipped model)")
    what.add_argument("--output", type=Path, default=Path("qcface-trt"), metavar="FOLDER",
                      help="where everything is written (default: %(default)s)")  # fmt: skip
    what.add_argument("--dry-run", action="store_true", help="make and prove the files, touch no GPU")
    _add_quantisation(parser.add_argument_group("quantisation"))
    _add_engine(parser.add_argument_group("engine"))
    gate = parser.add_argument_group("proof")
    gate.add_argument("--pairs", type=Path, metavar="FOLDER",
                      help="labelled faces (Name/Name_0001.webp): the full gate, measured thresholds")  # fmt: skip
    gate.add_argument("--limits", type=Path, default=DEFAULT_LIMITS, metavar="TOML", help="limits with their reasons")
    gate.add_argument("--allow-slower", action="store_true", help="install INT8 even if it is slower than FP16")
    parser.add_argument("--verbose", action="store_true", help="print TensorRT's whole log")
    return parser


def _add_quantisation(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--calibration", type=Path, nargs="+", default=[], metavar="FOLDER",
                       help="aligned 112 x 112 crops (default: portraits in the public domain)")  # fmt: skip
    group.add_argument("--table", type=Path, metavar="JSON", help="calibration table made elsewhere")
    group.add_argument("--percentile", type=float, default=99.999,
                       help="of activations kept, with --calibration (default: %(default)s)")  # fmt: skip
    group.add_argument("--exclude-nodes", nargs="+", default=[], metavar="LAYER", help="layers that stay in float")
    group.add_argument("--no-search", action="store_true", help="do not look for layers to keep in float")


def _add_engine(group: argparse._ArgumentGroup) -> None:
    for name, size, text in (("min", 1, "smallest"), ("opt", 1, "usual"), ("max", 16, "largest")):
        group.add_argument(f"--{name}-batch", type=int, default=size, metavar="N",
                           help=f"{text} number of faces in a run (default: %(default)s)")  # fmt: skip
    group.add_argument("--workspace", type=int, metavar="MB", help="memory that tactics may use (default: all)")
    group.add_argument("--level", type=int, choices=range(6), metavar="0..5", help="optimisation level")
    group.add_argument("--timing-cache", type=Path, metavar="FILE", help="measured tactics, read and written")
    group.add_argument("--hardware-compatible", action="store_true", help="run on any GPU from Ampere on; slower")
    group.add_argument("--version-compatible", action="store_true", help="run with the next TensorRT too")
    group.add_argument("--strip", action="store_true", help="leave weights out; they come from the ONNX file at load")
    group.add_argument("--refit", action="store_true", help="let weights be replaced later")
    group.add_argument("--dla-core", type=int, metavar="N", help="use a Jetson's DLA where it can; the rest on the GPU")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        return _run(_request(args), dry_run=args.dry_run, words=sys.argv[1:] if argv is None else argv)
    except SlowerError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return SLOWER
    except GateError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return FAILED
    except (ExportError, QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1


def _request(args: argparse.Namespace) -> Request:
    asked = list(dict.fromkeys(args.precisions or ["int8"]))
    if any(precision in QUANTISED for precision in asked) and "fp16" not in asked:
        asked.append("fp16")
    options = BuildOptions(
        batch=ShapeRange(args.min_batch, args.opt_batch, args.max_batch),
        workspace=None if args.workspace is None else args.workspace << 20,
        level=args.level,
        hardware_compatible=args.hardware_compatible,
        version_compatible=args.version_compatible,
        strip=args.strip,
        refit=args.refit,
        dla_core=args.dla_core,
        verbose=args.verbose,
    )
    return Request(
        bundle=Bundle.load(args.model),
        output=args.output,
        precisions=tuple(asked),
        options=options,
        calibration=tuple(args.calibration),
        table=args.table,
        percentile=args.percentile,
        excluded=tuple(args.exclude_nodes),
        search=not args.no_search,
        pairs=args.pairs,
        limits=args.limits,
        allow_slower=args.allow_slower,
        timing_cache=args.timing_cache,
        say=lambda text: print(text, flush=True),
    )


def _run(request: Request, *, dry_run: bool, words: Sequence[str]) -> int:
    model = request.bundle.manifest
    print(f"{model.name} {model.version}: {', '.join(request.precisions)}, into {request.output.resolve()}")
    # The driver is asked first: who has no GPU should know so before the minutes on the CPU.
    here, missing = (None, "dry run") if dry_run else _environment()
    made = make_typed_files(request)
    _write_files(request, made)
    if made.report is not None:
        print("\n".join(made.report.lines()))
        if not made.report.passed:
            _print_way_out(request, made)
        made.report.check()
    parsed = parse_with_rtx(made.files, request)
    print("\n".join(parsed or ["not parsed by TensorRT-RTX, which is not installed (pip install tensorrt-rtx-cu12)"]))
    if here is None:
        _print_done(request, made)
        if dry_run:
            print("nothing was built, as asked (--dry-run)")
            return 0
        _print_what_is_left(request, made, missing, words)
        return NO_GPU
    return _build(request, made, here)


def _environment() -> tuple[TrtEnvironment | None, str]:
    """Return TensorRT on this machine, or why there is none."""
    try:
        return trt_environment(), ""
    except BackendUnavailableError as error:
        print(f"no engine can be built here: {error}\nmaking and proving the files on the CPU; that takes a minute")
        return None, str(error)


def _build(request: Request, made: TypedFiles, here: TrtEnvironment) -> int:
    pictures = proof_pictures(request)
    built = build_on_gpu(request, made, pictures, here)
    for precision, file in built.items():
        _write_report(request, artifact_id(precision), file.report)
        print("\n".join(file.report.lines()))
    times = ", ".join(f"{name} {file.info.latency_ms[name]:.3f} ms" for name, file in built.items())
    print(f"one face on {here.target.gpu}: {times}")
    check_built(request, built)
    folder = install(request, pictures, built, here)
    print(f'installed; use it with: FaceEngine("{folder}", backend="tensorrt")')
    return 0


def _write_files(request: Request, made: TypedFiles) -> None:
    refused = made.report is not None and not made.report.passed
    for precision, model in made.files.items():
        # A file that failed is neither written nor left over from a run before.
        if refused and precision.split("-")[0] in QUANTISED:
            (request.output / file_name(precision)).unlink(missing_ok=True)
        else:
            write_whole(request.output / file_name(precision), model)
    if made.table is not None:
        write_whole(request.output / "calibration.json", made.table.to_json())
    if made.report is not None:
        _write_report(request, f"{made.report.artifact}-on-cpu", made.report)


def _write_report(request: Request, name: str, report: ProofReport) -> None:
    write_whole(request.output / f"{name}.json", report.to_json())
    write_whole(request.output / f"{name}.html", render_proof(report).encode())


def _print_way_out(request: Request, made: TypedFiles) -> None:
    whole = [precision for precision in made.files if precision not in QUANTISED and precision != TWIN]
    names = ", ".join(file_name(precision) for precision in whole)
    print("\nINT8 of this model does not keep its limits; its files were not written.")
    print(f"written to {request.output}: {names or 'the reports'}. What can be done:")
    print("  * calibrate and search on your cameras' faces: --calibration FOLDER (some hundreds of aligned crops)")
    print("  * or run in FP16, which needs no calibration: python export/build_trt.py --fp16")


def _print_done(request: Request, made: TypedFiles) -> None:
    print(f"\ndone here, in {request.output.resolve()}:")
    for precision in made.files:
        print(f"  {file_name(precision):37} {_MEANING.get(precision, precision.upper())}")
    if made.report is not None:
        page = f"{made.report.artifact}-on-cpu.html"
        print(f"  {page:37} INT8 proved on the CPU: {len(made.report.figures)} figures, all within their limits")


def _print_what_is_left(request: Request, made: TypedFiles, missing: str, words: Sequence[str]) -> None:
    print(f"\nno engine was built: {missing}")
    print("left to do on the machine with the GPU (an engine is for one GPU and one TensorRT; it cannot be made here):")
    print("  1. install the SDK, its export tools and TensorRT there: export/TENSORRT.md, for a Jetson its own section")
    command = ["python", "export/build_trt.py", *words]
    if made.table and not made.as_shipped:
        table = request.output / "calibration.json"
        print(f"     and copy {table.resolve()} there")
        command += [] if request.table else ["--table", str(table)]
        command += ["--exclude-nodes", *made.in_float] if made.in_float and not request.excluded else []
    print(f"  2. {shlex.join(command)}")
    print("     which builds the engines, times INT8 against FP16, proves them on the GPU and installs them")
    print(f'  3. in your program: FaceEngine("{request.output / "bundle"}", backend="tensorrt")')
    print(f"exit status {NO_GPU}: the files are whole, the engines are missing")


if __name__ == "__main__":
    raise SystemExit(main())
