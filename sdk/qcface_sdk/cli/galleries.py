"""Open a gallery that must already be there."""

from __future__ import annotations

from pathlib import Path

from qcface_sdk.errors import GalleryStorageError
from qcface_sdk.gallery import EmbeddedGallery, Gallery
from qcface_sdk.gallery.address import SCHEME
from qcface_sdk.gallery.judgement import Judge


def place(text: str) -> Path | str:
    """Parse a gallery's place: an address of a vector server as it is, anything else as a file name."""
    return text if text.startswith(SCHEME) else Path(text)


def open_place(where: Path | str, *, engine: Judge, key: str | None) -> Gallery:
    """Return an open gallery that must be there, embedded or in a vector server."""
    return (
        open_existing(where, engine=engine, key=key)
        if isinstance(where, Path)
        else Gallery.open(where, engine=engine, key=key)
    )


def open_existing(
    path: Path, *, engine: Judge | None = None, key: str | None = None, read_only: bool = True
) -> EmbeddedGallery:
    """Return an open gallery.

    Raises
    ------
    GalleryStorageError
        If there is no such file; opening to write would make one.
    GalleryError, ContractMismatchError
        As `Gallery.open`.
    """
    if not path.exists():
        raise GalleryStorageError(f"there is no gallery {path}; make one with: qcface enroll {path} SUBJECT PICTURE")
    return EmbeddedGallery.open_file(path, engine=engine, key=key, read_only=read_only)
