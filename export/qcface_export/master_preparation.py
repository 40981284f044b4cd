"""What a release does to its FP32 master before anything is calibrated: even out the channels, round the weights.

Both are kept in the release's work folder under the hash of master and pictures, like every step after them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from qcface_export.equalization import Equalized, equalize
from qcface_export.face_check import check_faces
from qcface_export.files import write_whole
from qcface_export.kept_steps import kept_name
from qcface_export.model_checks import recognizer_embeddings
from qcface_export.pictures import PictureSet, split_pictures
from qcface_export.release import ReleaseOptions
from qcface_export.weight_rounding import Rounded, round_weights


def equalized_master(master: bytes, options: ReleaseOptions, say: Callable[[str], None] = print) -> bytes:
    """Even out the channels of a master on the calibration pictures, or take what an earlier run made of both.

    Raises
    ------
    ModelFormatError, ModelError
        If the master is no recogniser.
    ExportError
        If that changes the embeddings.
    """
    return _prepared("equalized", equalize, master, options, say)


def rounded_master(master: bytes, options: ReleaseOptions, say: Callable[[str], None] = print) -> bytes:
    """Round the weights of a master to 8 bits on the calibration pictures, or take what an earlier run made of both.

    Raises
    ------
    ModelFormatError, ModelError
        If the master is no recogniser.
    ExportError
        If that changes the embeddings too much.
    """
    return _prepared("rounded", round_weights, master, options, say)


def _prepared(
    name: str,
    prepare: Callable[[bytes, PictureSet], Equalized | Rounded],
    master: bytes,
    options: ReleaseOptions,
    say: Callable[[str], None],
) -> bytes:
    recognizer_embeddings(master, "onnxruntime")
    pictures, _ = split_pictures(options.calibration, options.pictures, options.search_pictures)
    path = options.work / f"{kept_name(name, hashlib.sha256(master).hexdigest(), pictures.sha256)}.onnx"
    if not path.is_file():
        check_faces(pictures)
        prepared = prepare(master, pictures)
        say(str(prepared))
        write_whole(path, prepared.model)
    return path.read_bytes()
