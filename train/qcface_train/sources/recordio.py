"""InsightFace's training sets, ``train.rec`` with ``train.idx`` and ``property``, read without MXNet.

A record is ``magic, flags and length, payload``, padded to 4 bytes; the payload is ``flag, label, id, id2`` and, if its
flag is above 0, that many further labels, then the encoded picture. Record 0 and those after the last picture have no
picture: they say which records belong to which identity, which the label of each picture says too.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_train.faces import SIDE, DataError, RecordError

_LOG = logging.getLogger("qcface_train")
_MAGIC = 0xCED7230A
_MARK = struct.pack("<I", _MAGIC)
_FRAME = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")
_LENGTH = (1 << 29) - 1
# Labels are stored as float32, which tells whole numbers apart up to here.
_LARGEST_LABEL = 1 << 24


class RecordIOSource:
    """The pictures of one RecordIO file.

    Parameters
    ----------
    path : Path
        ``train.rec``; ``train.idx`` and ``property`` are looked for beside it. Without the index the file is read
        through once to find its records; reading goes on behind a damaged one.

    Raises
    ------
    DataError
        If the file cannot be read, is not RecordIO, holds no picture, or `property` gives its crops another size.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read ({error}); check the recipe's data.shards and --data") from error
        if len(self._data) < _FRAME.size or _FRAME.unpack_from(self._data)[0] != _MAGIC:
            raise DataError(f"{path} is not a RecordIO file: it does not begin with the magic number {_MAGIC:#x}")
        self._check_property(path.with_name("property"))
        index = path.with_suffix(".idx")
        offsets, passed_over = (_read_index(index), 0) if index.is_file() else self._scan()
        self._offsets, self.labels, damaged = self._pictures(offsets)
        self.skipped = passed_over + damaged
        if not len(self._offsets):
            raise DataError(f"no picture in {path}, {self.skipped} damaged record(s)")
        self.groups = np.zeros(len(self.labels), np.int64)

    def key(self, row: int) -> str:
        """Name a record in messages."""
        return f"{self._path} at byte {self._offsets[row]}"

    def fetch(self, row: int) -> bytes:
        """Return the encoded picture; raises RecordError if the record is damaged."""
        payload = self._payload(int(self._offsets[row]))
        flag = _HEADER.unpack_from(payload)[0]
        return payload[_HEADER.size + 4 * flag :]

    def fingerprint(self) -> str:
        """Return a hash over name, size, time of change and places of the records."""
        state = self._path.stat()
        digest = hashlib.sha256(f"{self._path.name}\0{state.st_size}\0{state.st_mtime_ns}".encode())
        digest.update(self._offsets.tobytes())
        return digest.hexdigest()

    def _payload(self, offset: int) -> bytes:
        """Return one record's payload; a payload that contains the magic number is stored in several parts."""
        parts = []
        while True:
            if not 0 <= offset <= len(self._data) - _FRAME.size:
                raise RecordError(f"{self._path}: the record at byte {offset} lies beyond the end of the file")
            magic, word = _FRAME.unpack_from(self._data, offset)
            part, length = word >> 29, word & _LENGTH
            start = offset + _FRAME.size
            if magic != _MAGIC or start + length > len(self._data):
                raise RecordError(f"{self._path}: the record at byte {offset} is damaged or cut off")
            parts.append(self._data[start : start + length])
            if part in (0, 3):
                break
            offset = start + (length + 3) // 4 * 4
        payload = _MARK.join(parts)
        if len(payload) < _HEADER.size:
            raise RecordError(f"{self._path}: the record at byte {offset} is too short")
        return payload

    def _pictures(self, offsets: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Return places and labels of the records with a picture, and the number of damaged records."""
        kept, labels, damaged = [], [], 0
        for offset in offsets:
            try:
                # Every record is looked into for its label, but the picture behind it is not touched.
                if not 0 <= offset <= len(self._data) - _FRAME.size - _HEADER.size:
                    raise RecordError(f"{self._path}: the record at byte {offset} lies beyond the end of the file")
                magic, word = _FRAME.unpack_from(self._data, offset)
                if magic != _MAGIC:
                    raise RecordError(f"{self._path}: no record begins at byte {offset}")
                flag, label = _HEADER.unpack_from(self._data, offset + _FRAME.size)[:2]
                beside = _HEADER.size + 4 * flag
                if flag > 0 and word >> 29 == 0 and word & _LENGTH <= beside:
                    continue  # numbers only: which records belong to an identity
                if flag > 0:
                    (label,) = struct.unpack_from("<f", self._data, offset + _FRAME.size + _HEADER.size)
                if not 0 <= label <= _LARGEST_LABEL or label != int(label):
                    raise RecordError(f"{self._path}: the label {label} at byte {offset} is not a whole number")
            except (RecordError, struct.error, ValueError, OverflowError) as error:
                damaged += 1
                _LOG.warning("record skipped: %s", error)
                continue
            kept.append(offset)
            labels.append(int(label))
        return np.asarray(kept, np.int64), np.asarray(labels, np.int64), damaged

    def _scan(self) -> tuple[list[int], int]:
        """Return where records begin, and the number of damaged stretches that were passed over.

        A damaged record that may be whole but for its picture is left in: it is counted when it is read.
        """
        offsets, damaged, offset, size = [], 0, 0, len(self._data)
        while offset + _FRAME.size <= size:
            _, word = _FRAME.unpack_from(self._data, offset)
            end = offset + _FRAME.size + ((word & _LENGTH) + 3) // 4 * 4
            sound = end == size or (end + _FRAME.size <= size and self._data[end : end + len(_MARK)] == _MARK)
            following = end if sound else self._next_frame(offset + _FRAME.size)
            # A length that reaches over the beginning of another record is a wrong one.
            reliable = following >= min(end, size)
            if reliable and word >> 29 in (0, 1):
                offsets.append(offset)
            if not reliable or following > end:
                damaged += 1
                start = end if reliable else offset
                _LOG.warning("%s: damaged from byte %d, skipped up to byte %d", self._path, start, following)
            offset = following
        return offsets, damaged

    def _next_frame(self, start: int) -> int:
        """Return where the next frame begins, or the end of the file.

        A writer splits payloads at the magic number, so that at a multiple of 4 bytes it is always a frame's.
        """
        place = self._data.find(_MARK, start)
        while 0 <= place <= len(self._data) - _FRAME.size:
            length = _FRAME.unpack_from(self._data, place)[1] & _LENGTH
            if place % 4 == 0 and place + _FRAME.size + length <= len(self._data):
                return place
            place = self._data.find(_MARK, place + 1)
        return len(self._data)

    def _check_property(self, path: Path) -> None:
        if not path.is_file():
            return
        try:
            _, height, width = (int(part) for part in path.read_text().split(","))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} must hold classes,height,width; {error}") from error
        if (height, width) != (SIDE, SIDE):
            raise DataError(f"{path} says {width}x{height} pixels; expected aligned {SIDE}x{SIDE} crops")


def _read_index(path: Path) -> list[int]:
    try:
        pairs = [line.split() for line in path.read_text().splitlines() if line.strip()]
        return [offset for _, offset in sorted((int(key), int(offset)) for key, offset in pairs)]
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must hold lines of record number and byte offset; {error}") from error
