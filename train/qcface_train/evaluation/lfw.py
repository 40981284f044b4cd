"""Read LFW as aligned crops: a tar or folder of ``Name/Name_0001.webp`` and the standard ``pairs.txt``."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import ImageReadError, InputError
from qcface_sdk.image import IMAGE_SUFFIXES, decode_image

_SIDE = 112


@dataclass(frozen=True, slots=True)
class VerificationSet:
    """Labelled aligned faces in memory, with the verification pairs if the set defines any."""

    names: tuple[str, ...]
    """Picture names, ``Name_0001``, in the order of `crops`."""
    crops: NDArray[np.uint8]
    """(N, 112, 112, 3), BGR."""
    subjects: NDArray[np.str_]
    """(N,), whose face it is."""
    pairs: NDArray[np.int64]
    """(P, 2), rows of `crops`; (0, 2) without a pairs file."""
    same: NDArray[np.bool_]
    """(P,), whether a pair shows one person."""
    folds: int
    """Equal consecutive parts of `pairs`; 0 without a pairs file."""


def read_lfw(path: Path) -> VerificationSet:
    """Read LFW from a folder or a tar.

    Parameters
    ----------
    path : Path
        A tar of ``Name/Name_0001.webp``, a folder that holds one such tar, or the unpacked folder. ``pairs.txt`` is
        looked for beside the tar or in the folder; without it there are no pairs.

    Raises
    ------
    ImageReadError
        If there are no pictures, or one is broken or not 112 x 112.
    InputError
        If ``pairs.txt`` is malformed or names a picture that is not there.
    """
    archive = _archive(path)
    names: list[str] = []
    subjects: list[str] = []
    crops: list[NDArray[np.uint8]] = []
    for member, data in _from_tar(archive) if archive else _from_folder(path):
        crop = decode_image(data, name=member)
        if crop.shape[:2] != (_SIDE, _SIDE):
            raise ImageReadError(f"{member} must be an aligned crop of {_SIDE} x {_SIDE} pixels, got {crop.shape}")
        names.append(Path(member).stem)
        subjects.append(Path(member).parent.name)
        crops.append(crop)
    if not crops:
        raise ImageReadError(f"{path} holds no pictures named Name/Name_0001.webp; pass the tar or its folder")
    pairs_file = (path.parent if path.is_file() else path) / "pairs.txt"
    pairs, same, folds = read_pairs(pairs_file, names) if pairs_file.is_file() else _NO_PAIRS
    return VerificationSet(tuple(names), np.stack(crops), np.array(subjects), pairs, same, folds)


_NO_PAIRS = (np.empty((0, 2), np.int64), np.empty(0, np.bool_), 0)


def _archive(path: Path) -> Path | None:
    if path.is_file():
        return path
    if not path.is_dir():
        raise ImageReadError(f"{path} does not exist; pass the LFW tar or its folder")
    tars = sorted(path.glob("*.tar"))
    return tars[0] if len(tars) == 1 else None


def _from_tar(archive: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                stream = tar.extractfile(member) if _is_picture(member.name) else None
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, EOFError) as error:
        raise ImageReadError(f"{archive} is no whole tar file: {error}") from error


def _from_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.glob("*/*")):
        if _is_picture(file.name):
            yield f"{file.parent.name}/{file.name}", file.read_bytes()


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def read_pairs(path: Path, names: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_], int]:
    """Read the LFW pairs list.

    Parameters
    ----------
    path : Path
        First line "folds pairs-per-half"; then "Name i j" for a genuine and "Name i Other j" for an impostor pair.
    names : list of str
        Picture names; pairs are given as positions in it.

    Returns
    -------
    pairs : ndarray of int64, shape (P, 2)
    same : ndarray of bool, shape (P,)
    folds : int

    Raises
    ------
    InputError
        If a line is malformed, a picture is missing, or the number of lines is not what the first line says.
    """
    position = {name: index for index, name in enumerate(names)}
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not lines or len(lines[0]) != 2 or not all(number.isdigit() for number in lines[0]):
        raise InputError(f"{path} must start with the number of folds and of pairs per half fold, got {lines[:1]}")
    folds, half = (int(number) for number in lines[0])
    pairs: list[tuple[int, int]] = []
    for number, fields in enumerate(lines[1:], start=2):
        if len(fields) not in (3, 4):
            raise InputError(f"{path}, line {number}: wanted 'Name i j' or 'Name i Other j', got {' '.join(fields)!r}")
        first = f"{fields[0]}_{int(fields[1]):04d}"
        second = f"{fields[-2] if len(fields) == 4 else fields[0]}_{int(fields[-1]):04d}"
        if first not in position or second not in position:
            raise InputError(f"{path}, line {number}: {first} or {second} is not among the {len(names)} pictures")
        pairs.append((position[first], position[second]))
    if len(pairs) != 2 * folds * half:
        raise InputError(f"{path} must hold {2 * folds * half} pairs as its first line says, got {len(pairs)}")
    same = np.array([len(fields) == 3 for fields in lines[1:]], dtype=np.bool_)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2), same, folds
