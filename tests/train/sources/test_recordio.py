"""RecordIO without MXNet: labels, multi-part records, damage, and InsightFace's own file where the data are present."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from encoded_pictures import MAGIC, picture, write_recordio
from qcface_train.faces import DataError, RecordError, decode_record
from qcface_train.sources.recordio import RecordIOSource


@pytest.mark.parametrize("index", [True, False], ids=["index", "no-index"])
def test_recordio_gives_pictures_and_labels_in_order(tmp_path: Path, index: bool) -> None:
    source = RecordIOSource(write_recordio(tmp_path, [(4, picture(10)), (0, picture(20)), (4, picture(30))], index))
    assert source.labels.tolist() == [4, 0, 4]
    assert [int(decode_record(source, row)[5, 5, 1]) for row in range(3)] == [10, 20, 30]
    assert source.skipped == 0


def test_recordio_joins_a_record_that_contains_the_magic_number(tmp_path: Path) -> None:
    # 4-byte places of the payload count; the header has 24 bytes
    data = b"abcd" + struct.pack("<I", MAGIC) * 2 + b"efghij"
    source = RecordIOSource(write_recordio(tmp_path, [(1, data), (2, b"next")]))
    assert source.fetch(0) == data
    assert source.fetch(1) == b"next"


def test_recordio_reads_a_label_that_is_a_list(tmp_path: Path) -> None:
    path = write_recordio(tmp_path, [(1, picture(3))])
    content = path.read_bytes()
    plain = struct.pack("<IfQQ", 0, 1, 0, 0) + picture(3)
    with_list = struct.pack("<IfQQ", 2, 0, 0, 0) + struct.pack("<2f", 7, 0) + picture(3)
    frame = lambda data: struct.pack("<II", MAGIC, len(data)) + data + b"\0" * (-len(data) % 4)  # noqa: E731
    assert frame(plain) in content
    path.write_bytes(content.replace(frame(plain), frame(with_list)))
    path.with_suffix(".idx").unlink()
    source = RecordIOSource(path)
    assert source.labels.tolist() == [7]
    assert int(decode_record(source, 0)[0, 0, 1]) == 3


def test_recordio_with_damaged_records_skips_and_counts_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_recordio(
        tmp_path, [(1, picture(1)), (2.5, picture(2)), (3, picture(3)), (-1, picture(4)), (1e30, picture(5))]
    )
    index = path.with_suffix(".idx")
    index.write_text(index.read_text() + "\n98\t13\n99\t99999999")
    source = RecordIOSource(path)
    assert source.labels.tolist() == [1, 3]
    assert source.skipped == 5
    assert caplog.text.count("record skipped") == 5


def test_recordio_cut_off_in_the_last_picture_names_the_record(tmp_path: Path) -> None:
    path = write_recordio(tmp_path, [(1, picture(1)), (2, picture(2))])
    content = path.read_bytes()
    path.write_bytes(content[: int(path.with_suffix(".idx").read_text().split()[-1]) - 30])
    source = RecordIOSource(path)
    assert source.labels.tolist() == [1, 2]
    assert decode_record(source, 0).shape == (112, 112, 3)
    with pytest.raises(RecordError, match="damaged or cut off"):
        source.fetch(1)


def test_recordio_without_index_goes_on_behind_damage_and_counts_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = b"abcd" + struct.pack("<I", MAGIC) + b"efgh"  # stored in two parts
    records = [(1, picture(1)), (2, data), (3, picture(3)), (4, data), (5, b"last")]
    path = write_recordio(tmp_path, records)
    starts = [int(line.split()[1]) for line in path.with_suffix(".idx").read_text().splitlines()][1:]
    path.with_suffix(".idx").unlink()
    content = path.read_bytes()

    def opened(place: int, *words: int) -> RecordIOSource:
        path.write_bytes(content[:place] + struct.pack(f"<{len(words)}I", *words) + content[place + 4 * len(words) :])
        return RecordIOSource(path)

    whole = opened(0, MAGIC)
    assert (whole.labels.tolist(), whole.skipped) == ([1, 2, 3, 4, 5], 0)
    for number in range(1, 5):
        kept = [label for label in (1, 2, 3, 4, 5) if label != number + 1]
        for words in ((7,), (MAGIC, 1 << 28), (MAGIC, starts[2] - starts[0])):
            if words[-1] != 7 and number == 4:
                continue  # the last picture's length: see the cut-off record
            source = opened(starts[number], *words)
            assert (source.labels.tolist(), source.skipped) == (kept, 1), (number, words)
    assert "damaged from byte" in caplog.text
    source = opened(starts[2] + 4, 40)  # too short a length: its picture is not whole, the next record is
    assert (source.labels.tolist(), source.skipped) == ([1, 2, 3, 4, 5], 1)
    path.write_bytes(content[: starts[4] + 6])
    source = RecordIOSource(path)
    assert (source.labels.tolist(), source.skipped) == ([1, 2, 3, 4], 1)


def test_recordio_of_unusable_files_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        RecordIOSource(tmp_path / "absent.rec")
    (tmp_path / "foreign.rec").write_bytes(b"not a record file")
    with pytest.raises(DataError, match="is not a RecordIO file"):
        RecordIOSource(tmp_path / "foreign.rec")
    path = write_recordio(tmp_path / "empty", [])
    with pytest.raises(DataError, match="no picture"):
        RecordIOSource(path)
    path = write_recordio(tmp_path / "size", [(1, picture(1))])
    path.with_name("property").write_text("1,128,128")
    with pytest.raises(DataError, match="128x128"):
        RecordIOSource(path)
    path.with_name("property").unlink()
    path.with_suffix(".idx").write_text("one two")
    with pytest.raises(DataError, match="record number and byte offset"):
        RecordIOSource(path)


def test_recordio_of_insightface_layout_on_the_sample(data_dir: Path) -> None:
    source = RecordIOSource(data_dir / "samples/record/train.rec")
    assert len(source.labels) == 200
    assert len(set(source.labels.tolist())) == 20
    assert source.skipped == 0
    assert decode_record(source, 199).shape == (112, 112, 3)
