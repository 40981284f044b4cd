"""Write the embeddings of all faces of pictures into one NumPy file.

The arrays of the .npz have one row per face: `embeddings` (N, D) float32, raw (their length is the magnitude), `bbox`
(N, 4), `kps` (N, 5, 2), `det_score`, `magnitude` and `quality` (N,), `picture` (N,) with the file names; `contract` is
one text. Embeddings are biometric data: keep the file as you would keep the photographs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode, worst_of
from qcface_sdk.cli.options import add_engine_options, add_json_option, add_picture_inputs, open_engine
from qcface_sdk.cli.pictures import find_pictures, read_each
from qcface_sdk.cli.printing import error_document, plural, print_error, print_json
from qcface_sdk.cli.progress import Progress
from qcface_sdk.errors import InputError, OptionError
from qcface_sdk.results import Face

_EXAMPLES = """\
  qcface embed photos/ --npz faces.npz
  qcface embed door.jpg --npz door.npz --largest
  python -c "import numpy; print(numpy.load('faces.npz')['embeddings'].shape)"

--json prints {"npz", "faces", "pictures", "without_face", "dimension", "contract", "errors"}. Exit status 3 if a
picture has no face.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    add_picture_inputs(parser)
    parser.add_argument("--npz", type=Path, required=True, metavar="FILE", help="file to write, ending in .npz")
    parser.add_argument("--largest", action="store_true", help="only the largest face of each picture")
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Embed the faces of each picture and write them."""
    if args.npz.suffix != ".npz":
        raise OptionError(f"--npz must name a file ending in .npz, got {args.npz}")
    paths = find_pictures(args.pictures)
    found: list[tuple[Path, Face]] = []
    without_face: list[str] = []
    errors: list[dict[str, str]] = []
    codes = []
    with open_engine(args) as engine, Progress(len(paths), "pictures") as bar:
        contract, dimension = engine.contract, engine.bundle.manifest.embedding.dimension
        for path, image in read_each(paths):
            if isinstance(image, InputError):
                errors.append({"file": str(path), **error_document(image)})
                codes.append(ExitCode.USAGE)
            else:
                faces = engine.get(image)
                found += [(path, face) for face in (faces[:1] if args.largest else faces)]
                if not faces:
                    without_face.append(str(path))
                codes.append(ExitCode.OK if faces else ExitCode.RETRY)
            bar.advance()
    _write_npz(args.npz, found, contract, dimension)
    for error in errors:
        print_error(error["message"])
    if args.json:
        print_json(
            {
                "npz": str(args.npz),
                "faces": len(found),
                "pictures": len(paths),
                "without_face": without_face,
                "dimension": dimension,
                "contract": contract,
                "errors": errors,
            }
        )
    else:
        print(f"{args.npz}: {plural(len(found), 'face')} of {plural(len(paths), 'picture')}, {dimension} numbers each")
        for name in without_face:
            print(f"no face in {name}")
    return worst_of(codes)


def _write_npz(path: Path, found: list[tuple[Path, Face]], contract: str, dimension: int) -> None:
    faces = [face for _, face in found]
    embeddings = np.array([face.embedding for face in faces], dtype=np.float32).reshape(-1, dimension)
    # Opened here: numpy would report a missing folder only after having written a part elsewhere.
    with path.open("wb") as file:
        np.savez(
            file,
            embeddings=embeddings,
            bbox=np.array([face.bbox for face in faces], dtype=np.float32).reshape(-1, 4),
            kps=np.array([face.kps for face in faces], dtype=np.float32).reshape(-1, 5, 2),
            det_score=np.array([face.det_score for face in faces], dtype=np.float32),
            magnitude=np.linalg.norm(embeddings, axis=1),
            quality=np.array([face.quality for face in faces], dtype=np.float32),
            picture=np.array([str(name) for name, _ in found], dtype=np.str_),
            contract=np.array(contract),
        )


COMMAND = Command(
    name="embed",
    summary="write embeddings of faces into a NumPy file",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
