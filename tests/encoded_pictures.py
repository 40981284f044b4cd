"""Small files in the formats that training reads: encoded pictures, tar shards, RecordIO."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import cv2
import numpy as np

MAGIC = 0xCED7230A


def picture(value: int, side: int = 112, ending: str = ".png") -> bytes:
    """Encode a picture whose green and blue are `value` and whose red is 200."""
    image = np.full((side, side, 3), value, np.uint8)
    image[..., 2] = 200  # red, in OpenCV's order
    return cv2.imencode(ending, image)[1].tobytes()


def write_shard(path: Path, records: list[tuple[str, dict[str, bytes]]]) -> Path:
    """Write a tar shard, packed with gzip if its name ends so."""
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for key, parts in records:
            for extension, data in parts.items():
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def pack_record(payload: bytes) -> bytes:
    """Frame one RecordIO payload as MXNet does: split where it contains the magic number, padded to 4 bytes."""
    mark = struct.pack("<I", MAGIC)
    parts, start = [], 0
    for place in range(0, len(payload) - 3, 4):
        if payload[place : place + 4] == mark:
            parts.append(payload[start:place])
            start = place + 4
    parts.append(payload[start:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        struct.pack("<II", MAGIC, flag << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )


def write_recordio(folder: Path, records: list[tuple[float, bytes]], index: bool = True) -> Path:
    """Write train.rec: labels and encoded pictures, between InsightFace's records of numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = struct.pack("<IfQQ", 2, 0, 0, 0) + struct.pack("<2f", len(records) + 1, len(records) + 2)
    payloads = [numbers, *(struct.pack("<IfQQ", 0, label, 0, 0) + data for label, data in records), numbers]
    offsets, content = [], b""
    for payload in payloads:
        offsets.append(len(content))
        content += pack_record(payload)
    (folder / "train.rec").write_bytes(content)
    if index:
        lines = [f"{number}\t{offset}" for number, offset in enumerate(offsets)]
        (folder / "train.idx").write_text("\n".join(lines))
    (folder / "property").write_text(f"{len(records)},112,112")
    return folder / "train.rec"
