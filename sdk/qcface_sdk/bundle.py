"""A model bundle in memory: its manifest and its files, every byte verified.

The files are read once, hashed, and kept; runners get those very bytes. Nothing is opened a second time, so nothing
can be swapped between the check and the use.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qcface_sdk.bundle_files import (
    MAX_BUNDLE_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    ArchiveSource,
    FileSource,
    FolderSource,
    write_archive,
    write_folder,
)
from qcface_sdk.checks import check_choice, check_fraction
from qcface_sdk.errors import (
    ManifestError,
    ModelHashError,
    ModelNotFoundError,
    SignatureError,
    ThresholdUnavailableError,
)
from qcface_sdk.manifest import (
    MANIFEST_NAME,
    PRECISIONS,
    SIGNATURE_NAME,
    Artifact,
    FileRecord,
    Manifest,
    QualityMap,
    ThresholdRow,
)
from qcface_sdk.signatures import MAX_SIGNATURE_BYTES, Signature, TrustedKey, check_signature, sign_manifest
from qcface_sdk.thresholds import threshold_at

DEFAULT_BUNDLE = Path(__file__).parent / "weights" / "default"
"""Where the package keeps the bundle that ``Bundle.load()`` takes."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Bundle:
    """A verified model bundle. Made by `load` or `create`; immutable and so safe to share between threads."""

    manifest: Manifest
    """What the bundle says about itself."""
    manifest_bytes: bytes
    """``manifest.json`` as it was read."""
    files: Mapping[str, bytes]
    """File name to content, the manifest left out."""
    source: str
    """Where it was read from, for messages."""
    signature: Signature | None = None
    """Who signed the manifest, checked; None if nobody did."""

    def __repr__(self) -> str:
        return f"Bundle({self.manifest.name} {self.manifest.version}, {self.contract}, from {self.source})"

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, *, trusted_keys: Iterable[TrustedKey] | None = None
    ) -> Bundle:
        """Read and verify a bundle.

        Parameters
        ----------
        path : path-like, optional
            A bundle's folder or ``.qcface`` file; None takes the bundle in the package.
        trusted_keys : iterable of str, path or bytes, optional
            Public keys, as 64 hex digits or PEM: only a bundle signed by one of them is accepted. None accepts unsigned
            bundles too; a signature that is there must hold even then.

        Raises
        ------
        ModelNotFoundError
            If there is nothing at `path`.
        ModelFormatError
            If it is neither a folder nor a ``.qcface`` file.
        ManifestError
            If the manifest is missing, malformed, contradictory or of an unknown schema.
        ModelHashError
            If a file is missing, extra, truncated or altered; the message names it.
        SignatureError
            If the signature is absent but needed, altered, or of a key that is not trusted.
        """
        place = DEFAULT_BUNDLE if path is None else Path(path)
        if place.is_dir():
            with FolderSource(place) as folder:
                return _verified(folder, str(place), trusted_keys)
        if not place.is_file():
            raise ModelNotFoundError(_not_found(place, packaged=path is None))
        with ArchiveSource(place) as archive:
            return _verified(archive, str(place), trusted_keys)

    @classmethod
    def create(cls, manifest: Manifest, files: Mapping[str, bytes]) -> Bundle:
        """Make a bundle out of a manifest and the files it lists (see `file_records`).

        Raises
        ------
        ModelHashError
            If `files` are not exactly those of the manifest.
        """
        if file_records(files) != manifest.files:
            raise ModelHashError("manifest.files must be file_records(files), got other names, sizes or hashes")
        return cls(manifest, manifest.to_json(), MappingProxyType(dict(files)), "memory")

    @staticmethod
    def pack(folder: str | os.PathLike[str], file: str | os.PathLike[str], *, overwrite: bool = False) -> Bundle:
        """Verify a bundle's folder and write it as one ``.qcface`` file; equal bundles give equal bytes."""
        bundle = Bundle.load(folder)
        bundle.save_file(file, overwrite=overwrite)
        return bundle

    @staticmethod
    def unpack(file: str | os.PathLike[str], folder: str | os.PathLike[str], *, overwrite: bool = False) -> Bundle:
        """Verify a ``.qcface`` file and write it as a folder."""
        bundle = Bundle.load(file)
        bundle.save_folder(folder, overwrite=overwrite)
        return bundle

    @property
    def contract(self) -> str:
        """Id of the embedding contract."""
        return self.manifest.embedding.contract

    def read(self, name: str) -> bytes:
        """Return the verified content of one file, or raise `ModelNotFoundError`."""
        try:
            return self.files[name]
        except KeyError:
            listed = ", ".join(sorted(self.files))
            raise ModelNotFoundError(f"{self.source} holds no file {name!r}; it holds {listed}") from None

    def artifact(self, runtime: str, precision: str = "auto") -> Artifact:
        """Return the recogniser file for a runtime.

        Parameters
        ----------
        runtime : str
            Backend name, such as ``onnxruntime``.
        precision : str, default "auto"
            ``fp32``, ``fp16``, ``bf16``, ``int8``, ``fp8``, or ``auto`` for the first listed for that runtime.

        Raises
        ------
        OptionError
            If `precision` is none of these.
        ModelNotFoundError
            If the bundle holds no such file; the message lists what it holds.
        """
        check_choice("precision", precision, ("auto", *PRECISIONS))
        for artifact in self.manifest.artifacts:
            if runtime in artifact.runtimes and precision in ("auto", artifact.precision):
                return artifact
        held = "; ".join(f"{a.precision} for {', '.join(a.runtimes)}" for a in self.manifest.artifacts)
        raise ModelNotFoundError(f"{self.source} holds no {precision} recogniser for {runtime}; it holds {held}")

    def quality_map(self, artifact: str, runtime: str) -> QualityMap:
        """Return the quality map and gates of one artefact on one runtime.

        Raises
        ------
        ModelNotFoundError
            If the bundle does not offer that artefact for that runtime.
        """
        for entry in self.manifest.quality:
            if (entry.artifact, entry.runtime) == (artifact, runtime):
                return entry
        measured = ", ".join(sorted(f"{entry.artifact} on {entry.runtime}" for entry in self.manifest.quality))
        raise ModelNotFoundError(f"{self.source} has no quality map for {artifact} on {runtime}; it has {measured}")

    def thresholds(self, artifact: str, runtime: str) -> tuple[ThresholdRow, ...]:
        """Return the rows measured for one artefact on one runtime, largest fmr first."""
        rows = [row for row in self.manifest.thresholds if (row.artifact, row.runtime) == (artifact, runtime)]
        return tuple(sorted(rows, key=lambda row: -row.fmr))

    def threshold(self, artifact: str, runtime: str, fmr: float) -> ThresholdRow:
        """Return the decision threshold for a false match rate.

        Parameters
        ----------
        artifact : str
            Id of the artefact in use.
        runtime : str
            Backend in use.
        fmr : float
            Wanted false match rate, between 0 and 1; between two measured rates the threshold is interpolated
            linearly in log10(fmr).

        Raises
        ------
        OptionError
            If `fmr` is not between 0 and 1.
        ThresholdUnavailableError
            If there is no supported row for it; the message lists the available rates.
        """
        rate = check_fraction("fmr", fmr)
        rows = self.thresholds(artifact, runtime)
        if not rows:
            measured = ", ".join(sorted({f"{row.artifact} on {row.runtime}" for row in self.manifest.thresholds}))
            raise ThresholdUnavailableError(
                f"{self.source} has no thresholds for {artifact} on {runtime}; measured: {measured or 'none'}"
            )
        return threshold_at(rows, rate)

    def save_folder(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the bundle as a folder, whole or not at all.

        Raises
        ------
        OptionError
            If something is there, unless it is a bundle and `overwrite` is true.
        ModelError
            If the place cannot be written.
        """
        write_folder(Path(folder), self._all_files(), overwrite=overwrite)

    def save_file(self, file: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the bundle as one ``.qcface`` file, whole or not at all; raises as `save_folder`."""
        write_archive(Path(file), self._all_files(), overwrite=overwrite)

    def signed(self, key: Ed25519PrivateKey) -> Bundle:
        """Return the same bundle signed with `key`, in place of any earlier signature."""
        return replace(self, signature=sign_manifest(self.manifest_bytes, key))

    def _all_files(self) -> dict[str, bytes]:
        signature = {} if self.signature is None else {SIGNATURE_NAME: self.signature.to_json()}
        return {MANIFEST_NAME: self.manifest_bytes, **signature, **self.files}


def file_records(files: Mapping[str, bytes]) -> Mapping[str, FileRecord]:
    """Return the manifest's record of each file."""
    return MappingProxyType(
        {name: FileRecord(hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()}
    )


def _not_found(place: Path, *, packaged: bool) -> str:
    if packaged:
        return f"this installation of qcface-sdk holds no model ({place}); pass model=, the path of a bundle"
    return f"there is no bundle at {place}; pass a bundle's folder or .qcface file"


def _verified(source: FileSource, place: str, trusted_keys: Iterable[TrustedKey] | None) -> Bundle:
    sizes = source.sizes()
    if MANIFEST_NAME not in sizes:
        raise ManifestError(f"{place} holds no {MANIFEST_NAME}; is this the folder of a bundle?")
    raw = source.read(MANIFEST_NAME, MAX_MANIFEST_BYTES + 1)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise ManifestError(f"{place}: {MANIFEST_NAME} must have at most {MAX_MANIFEST_BYTES:,} bytes")
    sealed = source.read(SIGNATURE_NAME, MAX_SIGNATURE_BYTES + 1) if SIGNATURE_NAME in sizes else None
    try:
        # Before the manifest is believed in anything.
        signature = check_signature(raw, sealed, trusted_keys)
    except SignatureError as error:
        raise SignatureError(f"{place}: {error}") from error
    try:
        manifest = Manifest.from_json(raw)
    except ManifestError as error:
        raise ManifestError(f"{place}: {error}") from error
    _check_names(manifest, sizes, place)
    for name, record in manifest.files.items():
        _check_size(sizes[name], name, record, place)
    contents = {name: _verified_file(source, name, record, place) for name, record in manifest.files.items()}
    return Bundle(manifest, raw, MappingProxyType(contents), place, signature)


def _check_names(manifest: Manifest, sizes: Mapping[str, int], place: str) -> None:
    records = manifest.files
    if missing := sorted(records.keys() - sizes.keys()):
        raise ModelHashError(f"{place}: file {missing[0]!r} is missing; copy the bundle again")
    if extra := sorted(sizes.keys() - records.keys() - {MANIFEST_NAME, SIGNATURE_NAME}):
        raise ModelHashError(f"{place}: file {extra[0]!r} does not belong to the bundle; remove it")
    total = sum(record.bytes for record in records.values())
    if total > MAX_BUNDLE_BYTES or len(records) > MAX_FILES:
        raise ModelHashError(
            f"{place}: a bundle has at most {MAX_FILES} files and {MAX_BUNDLE_BYTES:,} bytes, "
            f"the manifest states {len(records)} and {total:,}"
        )


def _check_size(size: int, name: str, record: FileRecord, place: str) -> None:
    if size != record.bytes:
        fault = "is truncated" if size < record.bytes else "was altered"
        raise ModelHashError(
            f"{place}: file {name!r} {fault}, want {record.bytes:,} bytes, got {size:,}; copy the bundle again"
        )


def _verified_file(source: FileSource, name: str, record: FileRecord, place: str) -> bytes:
    data = source.read(name, record.bytes + 1)
    _check_size(len(data), name, record, place)
    if hashlib.sha256(data).hexdigest() != record.sha256:
        raise ModelHashError(f"{place}: file {name!r} was altered, its SHA-256 is another; copy the bundle again")
    return data
