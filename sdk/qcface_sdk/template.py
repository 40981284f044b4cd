"""The template: what is kept of a person's pictures, and its byte form.

A template is one direction (who) and a few numbers about how it came to be. It holds biometric data: its `repr` never
shows the vector, and whoever stores the bytes must protect them.
"""

from __future__ import annotations

import math
import struct
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_embeddings, check_positive_int
from qcface_sdk.errors import (
    ContractMismatchError,
    InputError,
    NotFiniteError,
    OptionError,
    ShapeError,
    TemplateFormatError,
)

MAGIC = b"QCFT"
"""First four bytes of a stored template."""

VERSION = 2
"""Version of the byte form that `Template.to_bytes` writes; `Template.from_bytes` reads version 1, too."""

MAX_CONTRACT_CHARACTERS = 128
"""Longest contract id; the ones of this SDK have 36 characters."""

MAX_COUNT = 2**32 - 1
"""Most embeddings one template can state."""

_UNIT_TOLERANCE = 1e-4
"""A vector rounded to float32 is off unit length by about 1e-7; more than this is not rounding."""

_CANCELLED = 1e-6
"""A sum shorter than this share of its parts is float32 rounding noise, not a direction."""

# magic, version, bytes of contract, numbers in vector, count, magnitude, created; version 2 adds quality and updated;
# then contract, vector, CRC32
_HEADERS = {1: struct.Struct("<4sHHIIdd"), 2: struct.Struct("<4sHHIIdddd")}
_START = struct.Struct("<4sH")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One or more pictures of one person, fused. Immutable, hashable, and so safe to share between threads.

    Raises
    ------
    ShapeError, NotFiniteError, OptionError, InputError
        If a field does not keep what it promises below.
    """

    contract: str
    """Embedding contract id: only templates with the same id may be compared."""

    vector: NDArray[np.float32] = field(repr=False)
    """Shape (D,), float32, unit length, read-only."""

    magnitude: float
    """Length of the mean raw embedding, above 0; see `from_embeddings`."""

    count: int
    """Number of embeddings fused, at least 1."""

    created: float
    """Time of creation, or of the oldest picture, in unix seconds."""

    quality: float | None = None
    """Fused quality, 0..100, on the scale of `Face.quality`; ``None`` where it was not determined."""

    updated: float | None = None
    """Time of the newest picture in unix seconds, not before `created`; ``None`` becomes `created`."""

    def __post_init__(self) -> None:
        """Check every field and take a read-only copy of the vector."""
        check_contract_text(self.contract)
        vector = _copied(self.vector)
        if vector.ndim != 1 or vector.size == 0:
            raise ShapeError(f"a template's vector must have shape (D,), got {vector.shape}")
        length = float(np.linalg.norm(vector.astype(np.float64)))
        if not math.isfinite(length):
            raise NotFiniteError("a template's vector must be finite, got NaN or infinity")
        if abs(length - 1.0) > _UNIT_TOLERANCE:
            raise InputError(
                f"a template's vector must have unit length, got length {length:g}; use Template.from_embeddings"
            )
        vector.setflags(write=False)
        object.__setattr__(self, "vector", vector)
        object.__setattr__(self, "magnitude", _check_number("magnitude", self.magnitude, above_zero=True))
        object.__setattr__(self, "count", _check_count(self.count))
        object.__setattr__(self, "created", _check_number("created", self.created, above_zero=False))
        if self.quality is not None:
            quality = _check_number("quality", self.quality, above_zero=False)
            if quality > 100:
                raise OptionError(f"quality must lie in 0..100, got {quality:g}")
            object.__setattr__(self, "quality", quality)
        updated = _check_number("updated", self.created if self.updated is None else self.updated, above_zero=False)
        if updated < self.created:
            raise OptionError(f"updated must not be before created, got {updated!r} and {self.created!r}")
        object.__setattr__(self, "updated", updated)

    @classmethod
    def from_embeddings(cls, embeddings: Any, contract: str, created: float | None = None) -> Template:
        """Fuse the raw embeddings of one person into a template.

        Parameters
        ----------
        embeddings : ndarray of float, shape (N, D)
            Raw, **not** normalised, N at least 1.
        contract : str
            Embedding contract id all of them were made under.
        created : float or None
            Unix seconds; ``None`` is now.

        Returns
        -------
        Template

        Raises
        ------
        ShapeError
            If `embeddings` has another shape or no row.
        NotFiniteError
            If an embedding is NaN, infinite or of zero length, or if all of them together cancel out: none of these
            has a direction.
        OptionError
            If `contract` or `created` is not usable.

        Notes
        -----
        With raw embeddings ``e_i = m_i u_i`` (magnitude times unit vector), the direction is the magnitude-weighted
        mean of the unit vectors, which is the normalised sum of the raw embeddings: a recognizable picture counts for
        more than a blurred one.

        The magnitude is the length of the mean raw embedding, ``|e_1 + ... + e_N| / N``. For one picture that is its
        own magnitude; for several it is their mean magnitude lowered by how much their directions disagree, so fusing
        two different people shows. And no information is lost: ``count * magnitude * vector`` is the sum again.
        """
        rows = check_embeddings(embeddings)
        if len(rows) == 0:
            raise ShapeError("a template needs at least one embedding, got none; check that a face was found")
        exact = rows.astype(np.float64)
        lengths = np.linalg.norm(exact, axis=1)
        if not lengths.all():
            raise NotFiniteError(
                f"embedding {int(np.argmin(lengths))} has zero length and so no direction; leave that picture out"
            )
        total = exact.sum(axis=0)
        length = float(np.linalg.norm(total))
        if length <= _CANCELLED * float(lengths.sum()):
            raise NotFiniteError(
                f"the {len(rows)} embeddings cancel out and leave no direction; are they pictures of one person?"
            )
        when = time.time() if created is None else created
        return cls(contract, (total / length).astype(np.float32), length / len(rows), len(rows), when)

    def similarity(self, other: Template) -> float:
        """Return the cosine of the two templates, -1..1, computed in double precision.

        Raises
        ------
        ContractMismatchError
            If the templates were made under different embedding contracts.
        ShapeError
            If their vectors differ in length, although the contract says otherwise.
        """
        if self.contract != other.contract:
            raise ContractMismatchError(
                f"templates of different models cannot be compared: {self.contract} against {other.contract}; "
                "enrol again from the pictures with one model"
            )
        if self.vector.shape != other.vector.shape:
            raise ShapeError(
                f"templates must have the same dimension, got {self.vector.size} and {other.vector.size}; "
                "one of them carries a wrong contract id"
            )
        return float(np.clip(self.vector.astype(np.float64) @ other.vector.astype(np.float64), -1.0, 1.0))

    def to_bytes(self) -> bytes:
        """Return the byte form, version 2.

        Little endian: ``QCFT``, version (uint16), bytes of the contract id (uint16), dimension (uint32), count
        (uint32), magnitude (float64), created (float64), quality (float64, NaN where undetermined), updated (float64),
        contract id (ASCII), vector (float32), CRC-32 of all before (uint32). Version 1 has neither quality nor updated.
        The checksum finds accidents, not forgery.
        """
        name = self.contract.encode("ascii")
        times = (self.created, math.nan if self.quality is None else self.quality, self.updated)
        header = _HEADERS[VERSION].pack(MAGIC, VERSION, len(name), self.vector.size, self.count, self.magnitude, *times)
        body = header + name + self.vector.astype("<f4").tobytes()
        return body + _CHECKSUM.pack(zlib.crc32(body))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Template:
        """Read the byte form that `to_bytes` writes.

        Raises
        ------
        TemplateFormatError
            If `data` is not a whole, unaltered template of version 1 or 2.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TemplateFormatError(f"a stored template must be bytes, got {type(data).__name__}")
        raw = bytes(data)
        if len(raw) < _HEADERS[1].size or raw[:4] != MAGIC:
            raise TemplateFormatError(f"these {len(raw)} bytes are not a template: no QCFT header at their start")
        version = _START.unpack_from(raw)[1]
        if version not in _HEADERS:
            raise TemplateFormatError(
                f"template has version {version}, this SDK reads versions 1 and {VERSION}; use the SDK that wrote it"
            )
        header = _HEADERS[version]
        if len(raw) < header.size:
            raise TemplateFormatError(f"template must have {header.size} bytes at least, got {len(raw)}: truncated")
        _, _, name_bytes, dimension, count, magnitude, created, *rest = header.unpack_from(raw)
        wanted = header.size + name_bytes + 4 * dimension + _CHECKSUM.size
        if len(raw) != wanted:
            raise TemplateFormatError(f"template must have {wanted} bytes, got {len(raw)}: truncated or altered")
        if zlib.crc32(raw[: -_CHECKSUM.size]) != _CHECKSUM.unpack_from(raw, wanted - _CHECKSUM.size)[0]:
            raise TemplateFormatError("template does not fit its checksum: it was altered; restore it from a backup")
        start = header.size + name_bytes
        quality, updated = rest or (math.nan, created)
        try:
            name = raw[header.size : start].decode("ascii")
            vector = np.frombuffer(raw, "<f4", dimension, start)
            known = None if math.isnan(quality) else quality
            return cls(name, vector, magnitude, count, created, known, updated)
        except (InputError, UnicodeDecodeError) as error:
            raise TemplateFormatError(f"template is whole but not valid: {error}") from error

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Template):
            return NotImplemented
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def _copied(vector: Any) -> NDArray[np.float32]:
    try:
        # A number too large for float32 becomes infinity, and that has its own error.
        with np.errstate(over="ignore"):
            return np.array(vector, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"a template's vector must be floats of shape (D,), got {type(vector).__name__}") from error


def _check_count(count: Any) -> int:
    if check_positive_int("count", count) > MAX_COUNT:
        raise OptionError(f"count must be at most {MAX_COUNT}, got {count}")
    return int(count)


def check_contract_text(contract: Any) -> None:
    """Raise `OptionError` unless `contract` can be stored as a contract id."""
    wanted = f"contract must be an id of 1..{MAX_CONTRACT_CHARACTERS} printable ASCII characters"
    if not isinstance(contract, str):
        raise OptionError(f"{wanted}, got {type(contract).__name__}; pass engine.contract or face.contract")
    if not (1 <= len(contract) <= MAX_CONTRACT_CHARACTERS and contract.isascii() and contract.isprintable()):
        raise OptionError(f"{wanted}, got {contract[:40]!r}; pass engine.contract or face.contract")


def _check_number(name: str, value: Any, *, above_zero: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise OptionError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise NotFiniteError(f"{name} must be finite, got {value!r}")
    if value < 0 or (above_zero and value == 0):
        raise OptionError(f"{name} must be {'above' if above_zero else 'at least'} 0, got {value!r}")
    return float(value)
