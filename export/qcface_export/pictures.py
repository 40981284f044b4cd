"""Sets of aligned face crops: what calibration and proof run on."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_export.errors import CalibrationError
from qcface_sdk.errors import QCFaceError
from qcface_sdk.evaluation import KINDS, LEVELS, degrade
from qcface_sdk.image import IMAGE_SUFFIXES, decode_image

SIDE = 112
"""Pixels: side of an aligned crop."""


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Aligned crops in memory, in a fixed order."""

    names: tuple[str, ...]
    """Name of each picture."""
    crops: NDArray[np.uint8]
    """(N, 112, 112, 3), BGR."""

    @property
    def sha256(self) -> str:
        """SHA-256 over names and pixels, in order."""
        digest = hashlib.sha256()
        for name, crop in zip(self.names, self.crops, strict=True):
            digest.update(f"{name}\n".encode())
            digest.update(crop.tobytes())
        return digest.hexdigest()


def read_pictures(places: Sequence[Path], limit: int) -> PictureSet:
    """Read the first `limit` aligned crops of folders and tar files.

    Parameters
    ----------
    places : sequence of Path
        Folders of pictures, searched below too in order of their names, or tar files, compressed or not, or folders of
        tar files.
    limit : int
        Number of pictures at most, divided evenly among the places.

    Raises
    ------
    CalibrationError
        If there is no picture, or one is broken or not 112 x 112.
    """
    names: list[str] = []
    crops: list[NDArray[np.uint8]] = []
    places = [part for place in places for part in _parts(place)]
    share = -(-limit // max(1, len(places)))
    for place in places:
        for name, data in islice(_pictures_of(place), min(share, limit - len(crops))):
            crops.append(_decode(f"{place}: {name}", data))
            names.append(name)
    if not crops:
        where = ", ".join(map(str, places)) or "no place"
        raise CalibrationError(
            f"no pictures found in {where}; give folders or tar files of aligned {SIDE} x {SIDE} face crops"
        )
    return PictureSet(tuple(names), np.stack(crops))


def _parts(place: Path) -> list[Path]:
    """Return the tar files of a folder that holds some, else the place itself."""
    return sorted(place.glob("*.tar*")) or [place] if place.is_dir() else [place]


def split_pictures(places: Sequence[Path], calibrate_on: int, search_on: int) -> tuple[PictureSet, PictureSet]:
    """Read pictures to calibrate on and others to search on, a damaged copy of each fourth added to both.

    Raises
    ------
    CalibrationError
        As `read_pictures`, and if there are fewer than half of those wanted.
    """
    found = _enough_pictures(places, calibrate_on + search_on, "calibrate and search on")
    return _split(found, range(len(found.crops)), search_on)


def split_for_proof(
    places: Sequence[Path], calibrate_on: int, search_on: int, prove_on: int
) -> tuple[PictureSet, PictureSet, PictureSet]:
    """Read pictures as `split_pictures` does, and others again to prove on, as they are.

    Where there are fewer than wanted, each of the three gets its share.

    Raises
    ------
    CalibrationError
        As `split_pictures`.
    """
    wanted = calibrate_on + search_on + prove_on
    found = _enough_pictures(places, wanted, "calibrate, search and prove on")
    count = len(found.crops)
    proof = np.linspace(0, count - 1, round(prove_on * count / wanted)).astype(int).tolist()
    return *_split(found, sorted(set(range(count)) - set(proof)), search_on), _rows(found, proof)


def _enough_pictures(places: Sequence[Path], wanted: int, purpose: str) -> PictureSet:
    found = read_pictures(places, wanted)
    if len(found.crops) < wanted / 2:
        raise CalibrationError(
            f"{wanted} pictures are wanted to {purpose}, got {len(found.crops)}; give more of them, or ask for fewer"
        )
    return found


def _split(found: PictureSet, rows: Sequence[int], search_on: int) -> tuple[PictureSet, PictureSet]:
    # Every third goes to the search, so that both see all places.
    search = rows[2::3][:search_on]
    rest = sorted(set(rows) - set(search))
    return with_damage(_rows(found, rest)), with_damage(_rows(found, search))


def _rows(pictures: PictureSet, rows: Sequence[int]) -> PictureSet:
    return PictureSet(tuple(pictures.names[row] for row in rows), pictures.crops[list(rows)])


def with_damage(pictures: PictureSet, every: int = 4) -> PictureSet:
    """Add a damaged copy of each `every`-th picture, kinds and levels in turn.

    A camera sends dark, noisy and covered faces too, and they drive other activations than clean ones do.
    """
    names, crops = list(pictures.names), list(pictures.crops)
    for count, row in enumerate(range(0, len(pictures.crops), every)):
        kind, level = KINDS[count % len(KINDS)], 1 + count // len(KINDS) % LEVELS
        crops.append(degrade(pictures.crops[row], kind, level, seed=row))
        names.append(f"{pictures.names[row]} {kind} {level}")
    return PictureSet(tuple(names), np.stack(crops))


def _pictures_of(place: Path) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        for file in sorted(place.rglob("*")):
            if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file():
                yield file.relative_to(place).as_posix(), file.read_bytes()
        return
    try:
        with tarfile.open(place, "r:*") as archive:
            for member in archive:
                stream = archive.extractfile(member) if Path(member.name).suffix.lower() in IMAGE_SUFFIXES else None
                if stream is not None:
                    yield member.name, stream.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CalibrationError(f"{place} is neither a folder nor a whole tar file ({error}); check the path") from error


def _decode(name: str, data: bytes) -> NDArray[np.uint8]:
    try:
        crop = decode_image(data, name=name)
    except QCFaceError as error:
        raise CalibrationError(str(error)) from error
    if crop.shape != (SIDE, SIDE, 3):
        raise CalibrationError(
            f"{name} must be an aligned crop of {SIDE} x {SIDE} pixels, got {crop.shape[1]} x {crop.shape[0]}; "
            "crop faces with engine.align"
        )
    return crop
