"""Archives made to do harm are refused before a byte of them is used."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from qcface_sdk.bundle import Bundle
from qcface_sdk.errors import ModelError, ModelFormatError, ModelHashError
from tiny_models import tiny_bundle

RECOGNIZER = "recognizer.fp32.onnx"


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    Bundle.pack(tiny_bundle(tmp_path / "bundle"), tmp_path / "bundle.qcface")
    return tmp_path / "bundle.qcface"


def rewritten(
    packed: Path, change: Callable[[zipfile.ZipInfo], None] = lambda info: None, **extra: bytes
) -> dict[str, bytes]:
    """Write the archive again with each entry's header changed and entries added."""
    with zipfile.ZipFile(packed) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(packed, "w") as archive:
        for info, data in entries:
            change(info)
            archive.writestr(info, data)
        for name, data in extra.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return {info.filename: data for info, data in entries}


def test_archive_that_was_only_rewritten_still_loads(packed: Path) -> None:
    contract = Bundle.load(packed).contract
    rewritten(packed)
    assert Bundle.load(packed).contract == contract


def test_archive_starts_with_its_manifest(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
    assert names == ["manifest.json", "MODEL_CARD.md", "detector.fp32.onnx", RECOGNIZER]


@pytest.mark.parametrize(
    "name", ["../evil.py", "/etc/cron.d/evil", "a/../../b", "folder/", "..", "a\\..\\b", "C:/evil", "evil\n", "~root"]
)
def test_archive_with_a_path_for_a_name_is_refused(packed: Path, tmp_path: Path, name: str) -> None:
    rewritten(packed, **{name: b"evil"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelHashError, match="is no plain file name"):
        Bundle.unpack(packed, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_archive_with_an_extra_entry_names_it(packed: Path) -> None:
    rewritten(packed, **{"extra.onnx": b"x"})
    with pytest.raises(ModelHashError, match=r"'extra.onnx' does not belong"):
        Bundle.load(packed)


def test_archive_with_an_entry_twice_is_refused(packed: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        rewritten(packed, **{RECOGNIZER: b"x"})
    with pytest.raises(ModelHashError, match="stands twice"):
        Bundle.load(packed)


def test_archive_with_a_symlink_is_refused(packed: Path) -> None:
    def link(info: zipfile.ZipInfo) -> None:
        if info.filename == RECOGNIZER:
            info.external_attr = (stat.S_IFLNK | 0o777) << 16

    rewritten(packed, link)
    with pytest.raises(ModelHashError, match="is a link or special file"):
        Bundle.load(packed)


def test_archive_with_a_compressed_entry_is_refused(packed: Path) -> None:
    def deflate(info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_DEFLATED

    rewritten(packed, deflate)
    with pytest.raises(ModelFormatError, match=r"is compressed or encrypted; pack the folder with Bundle.pack"):
        Bundle.load(packed)


def test_archive_with_a_zip_bomb_is_refused_without_inflating_it(packed: Path) -> None:
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.bin", bytes(50 << 20))
    assert packed.stat().st_size < 1 << 20
    with pytest.raises(ModelFormatError, match="compressed"):
        Bundle.load(packed)


def test_archive_with_overlapping_entries_is_refused(packed: Path) -> None:
    """Every directory entry made to point at the largest one's data (D. Fifield, USENIX WOOT 2019)."""
    data = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        start = archive.start_dir
    target = infos[RECOGNIZER]
    position = data.index(b"PK\x01\x02", start)
    struct.pack_into("<III", data, position + 16, target.CRC, target.file_size, target.file_size)
    packed.write_bytes(data)
    with pytest.raises(ModelHashError, match="overlapping|truncated or altered"):
        Bundle.load(packed)


@pytest.mark.parametrize("kept", [4, 100, 0.5, 0.9, -1])
def test_archive_that_is_truncated_says_so(packed: Path, kept: float) -> None:
    data = packed.read_bytes()
    packed.write_bytes(data[: int(kept * len(data))] if isinstance(kept, float) else data[:kept])
    with pytest.raises(ModelHashError, match="truncated"):
        Bundle.load(packed)


def test_archive_with_any_altered_content_names_the_file(packed: Path) -> None:
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1  # the recogniser is most of the file
    packed.write_bytes(data)
    with pytest.raises(ModelHashError, match=f"'{RECOGNIZER}' is truncated or altered"):
        Bundle.load(packed)


def test_archive_with_another_model_and_right_checksum_names_the_file(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        contents = {info.filename: archive.read(info) for info in archive.infolist()}
    contents[RECOGNIZER] = contents[RECOGNIZER][:-1] + b"\0"
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    with pytest.raises(ModelHashError, match=f"'{RECOGNIZER}' was altered, its SHA-256"):
        Bundle.load(packed)


def test_archive_with_bytes_after_its_end_is_refused(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes() + b"trailer")
    with pytest.raises(ModelHashError, match="bytes after its end"):
        Bundle.load(packed)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [(10, struct.pack("<H", 65535), "more than 64 files"), (12, struct.pack("<I", 1 << 31), "no bundle has")],
    ids=["entries", "directory size"],
)
def test_archive_with_an_immense_directory_is_refused_before_it_is_read(
    packed: Path, offset: int, value: bytes, message: str
) -> None:
    data = bytearray(packed.read_bytes())
    end = len(data) - 22 + offset
    data[end : end + len(value)] = value
    packed.write_bytes(data)
    with pytest.raises(ModelHashError, match=message):
        Bundle.load(packed)


def test_archive_in_zip64_form_is_refused(packed: Path) -> None:
    data = packed.read_bytes()
    packed.write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    with pytest.raises(ModelHashError, match="no bundle has"):
        Bundle.load(packed)


def test_archive_with_any_byte_replaced_raises_nothing_but_model_errors(packed: Path) -> None:
    """Headers and directory are where a parser can be led astray: every byte of them is tried."""
    data = packed.read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    expected = dict(Bundle.load(packed).files)
    for position in [*range(30), *range(start, len(data))]:
        altered = bytearray(data)
        altered[position] ^= 0xFF
        packed.write_bytes(altered)
        try:
            loaded = Bundle.load(packed)
        except ModelError:
            continue
        assert dict(loaded.files) == expected, f"byte {position} changed what was loaded"


@pytest.mark.parametrize("data", [b"", b"PK", b"\x08\x07onnx", b"PK\x05\x06" + bytes(18)])
def test_file_that_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.qcface").write_bytes(data)
    with pytest.raises(ModelFormatError, match="is no bundle"):
        Bundle.load(tmp_path / "x.qcface")
