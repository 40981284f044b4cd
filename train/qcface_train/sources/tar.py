"""Tar shards in the webdataset layout: members ``KEY.webp`` (or jpg, png) and, for labelled ones, ``KEY.cls``.

Other members of a key, such as ``KEY.json``, may stand anywhere beside them and are not read.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcface_train.faces import UNLABELLED, DataError, RecordError
from qcface_train.sources.folder import PICTURE_ENDINGS

_LOG = logging.getLogger("qcface_train")


@dataclass(frozen=True, slots=True)
class _Record:
    shard: int
    key: str
    place: int
    size: int
    label: int


class TarSource:
    """The pictures of some tar shards, in shard order, then member order.

    Opening reads every shard's table of members once (a compressed shard is unpacked for it), but no picture. Later,
    plain shards are read where the picture lies. A compressed one cannot be: it is unpacked into memory when a picture
    of it is asked for, and the last few are kept.

    Parameters
    ----------
    shards : sequence of Path
        Tar files, compressed or not.
    unpacked : int
        Compressed shards kept in memory; an order that stays within as many shards reads each only once.

    Raises
    ------
    DataError
        If there is no shard, or one cannot be read to its end.
    """

    def __init__(self, shards: Sequence[Path], unpacked: int = 4) -> None:
        if not shards:
            raise DataError("expected at least one tar shard, got none; check the recipe's data.shards and --data")
        self._shards = tuple(shards)
        self._compressed = [not _is_plain(shard) for shard in shards]
        self._unpacked: OrderedDict[int, bytes] = OrderedDict()
        self._unpacked_limit = max(1, unpacked)
        self._lock = threading.Lock()
        self._descriptors: dict[int, int] = {}
        self.skipped = 0
        self._records: list[_Record] = []
        for number, shard in enumerate(shards):
            before = len(self._records)
            self._records += self._index(number, shard)
            if len(self._records) == before:
                _LOG.warning("shard %s holds no usable record", shard)
        self.labels = np.asarray([record.label for record in self._records], np.int64)
        self.groups = np.asarray([record.shard for record in self._records], np.int64)

    @property
    def has_compressed(self) -> bool:
        """Whether a shard has to be unpacked to be read."""
        return any(self._compressed)

    def key(self, row: int) -> str:
        """Name a record in messages."""
        record = self._records[row]
        return f"{self._shards[record.shard].name}: record {record.key}"

    def fetch(self, row: int) -> bytes:
        """Return the encoded picture; raises RecordError if the shard changed or vanished."""
        record = self._records[row]
        try:
            if self._compressed[record.shard]:
                data = self._whole(record.shard)[record.place : record.place + record.size]
            else:
                data = os.pread(self._descriptor(record.shard), record.size, record.place)
        except (OSError, tarfile.TarError, EOFError) as error:
            raise RecordError(f"{self.key(row)} cannot be read ({error})") from error
        if len(data) != record.size:
            raise RecordError(f"{self.key(row)} is cut off")
        return data

    def fingerprint(self) -> str:
        """Return a hash over the bytes of all shards."""
        digest = hashlib.sha256()
        for shard in self._shards:
            digest.update(hashlib.sha256(shard.read_bytes()).digest())
        return digest.hexdigest()

    def _descriptor(self, shard: int) -> int:
        with self._lock:
            if shard not in self._descriptors:
                self._descriptors[shard] = os.open(self._shards[shard], os.O_RDONLY)
            return self._descriptors[shard]

    def __del__(self) -> None:
        for descriptor in getattr(self, "_descriptors", {}).values():
            os.close(descriptor)

    def _whole(self, shard: int) -> bytes:
        with self._lock:
            if shard not in self._unpacked:
                self._unpacked[shard] = _unpack(self._shards[shard])
                while len(self._unpacked) > self._unpacked_limit:
                    self._unpacked.popitem(last=False)
            self._unpacked.move_to_end(shard)
            return self._unpacked[shard]

    def _index(self, number: int, shard: Path) -> Iterator[_Record]:
        key, parts = "", dict[str, tuple[int, int, bytes]]()
        try:
            with tarfile.open(shard, "r:*") as archive:
                for member in archive:
                    if not member.isfile():
                        continue
                    stem, _, ending = member.name.rpartition(".")
                    if stem != key and parts:
                        yield from self._record(number, key, parts)
                        parts = {}
                    key = stem
                    file = archive.extractfile(member) if ending == "cls" else None
                    parts[ending] = (member.offset_data, member.size, file.read() if file else b"")
                _check_end(archive)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(
                f"shard {shard} cannot be read or is not a whole tar file ({error}); fetch it again"
            ) from error
        if parts:
            yield from self._record(number, key, parts)

    def _record(self, number: int, key: str, parts: dict[str, tuple[int, int, bytes]]) -> Iterator[_Record]:
        picture = next((part for ending, part in parts.items() if f".{ending.lower()}" in PICTURE_ENDINGS), None)
        label: int | None = UNLABELLED
        if "cls" in parts:
            try:
                label = int(parts["cls"][2])
            except ValueError:
                label = None
        if picture is None or label is None or ("cls" in parts and label < 0):
            self.skipped += 1
            _LOG.warning("%s: record %s skipped (no picture or no label)", self._shards[number].name, key)
            return
        yield _Record(number, key, picture[0], picture[1], label)


def _check_end(archive: tarfile.TarFile) -> None:
    """Raise ReadError if no block of zeros follows the last member.

    Writers end a tar file with two, and many pad it with more. The reader takes a header that is damaged, cut off
    or absent for the end as well, and would give a shorter shard. One block is enough: GNU tar, too, only warns then.
    """
    block = b""
    if archive.fileobj is not None:
        archive.fileobj.seek(archive.offset)
        block = archive.fileobj.read(tarfile.BLOCKSIZE)
    if block != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"neither a member nor the end of the file is at byte {archive.offset}")


def _is_plain(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False
    except OSError as error:
        raise DataError(f"shard {path} cannot be read ({error}); check the recipe's data.shards and --data") from error


def _unpack(path: Path) -> bytes:
    """Return the bytes of the tar file inside a compressed one."""
    opener = {b"\x1f\x8b": "gzip", b"BZ": "bz2", b"\xfd7": "lzma"}
    import importlib

    data = path.read_bytes()
    name = opener.get(data[:2])
    if name is None:
        raise tarfile.ReadError("neither a tar file nor one packed with gzip, bzip2 or xz")
    with importlib.import_module(name).open(io.BytesIO(data)) as file:
        return bytes(file.read())
