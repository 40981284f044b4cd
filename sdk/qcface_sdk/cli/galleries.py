"""Open a gallery that must already be there."""

from __future__ import annotations

from pathlib import Path

from qcface_sdk.errors import GalleryStorageError, OptionError
from qcface_sdk.gallery import EmbeddedGallery, MilvusGallery
from qcface_sdk.gallery.address import SCHEME
from qcface_sdk.gallery.judgement import Judge


def place(text: str) -> Path | str:
    """Parse a gallery's place: an address of a vector server as it is, anything else as a file name."""
    return text if text.startswith(SCHEME) else Path(text)


def open_place(
    where: Path | str, *, engine: Judge | None = None, key: str | None, read_only: bool = True
) -> EmbeddedGallery | MilvusGallery:
    """Return an open gallery that must be there, embedded or in a vector server.

    Raises
    ------
    OptionError
        If a server is given a key.
    GalleryError, ContractMismatchError
        As `Gallery.open`.
    """
    if isinstance(where, Path):
        return open_existing(where, engine=engine, key=key, read_only=read_only)
    if key is not None:
        raise OptionError("a vector server holds vectors in plain form and takes no --key; leave it out")
    return MilvusGallery.connect(where, engine=engine, read_only=read_only)


def open_existing(
    path: Path, *, engine: Judge | None = None, key: str | None = None, read_only: bool = True
) -> EmbeddedGallery:
    """Return an open gallery.

    Raises
    ------
    OptionError
        If it is the address of a server.
    GalleryStorageError
        If there is no such file; opening to write would make one.
    GalleryError, ContractMismatchError
        As `Gallery.open`.
    """
    if str(path).startswith(SCHEME.rstrip("/")):
        raise OptionError(
            f"this action works on a gallery file, got {path}; for a vector server there are list, remove, expire, "
            "terms and sync"
        )
    if not path.exists():
        raise GalleryStorageError(f"there is no gallery {path}; make one with: qcface enroll {path} SUBJECT PICTURE")
    return EmbeddedGallery.open_file(path, engine=engine, key=key, read_only=read_only)
