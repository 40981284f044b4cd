"""The file: what is refused, what an error leaves behind, who may read it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from qcface_sdk.errors import GalleryError, GalleryFormatError, GalleryStorageError
from qcface_sdk.gallery import Gallery


def all_bytes(folder: Path) -> bytes:
    """Read every file with another process: closing a handle of this one would drop SQLite's locks."""
    code = (
        "import pathlib, sys\n"
        "for file in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    sys.stdout.buffer.write(file.read_bytes())"
    )
    return subprocess.run([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, check=True).stdout


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_open_new_file_is_the_owners_alone(path, person):
    before = os.umask(0)
    try:
        with Gallery.open(path) as gallery:
            gallery.enroll("ada", person(1))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {path.name + ending: 0o600 for ending in ("", "-wal", "-shm", ".keyring", ".key")}


def test_close_leaves_the_gallery_and_its_keys(path, gallery):
    gallery.close()
    assert names_in(path.parent) == [path.name, f"{path.name}.key", f"{path.name}.keyring"]


def test_open_empty_file_becomes_a_gallery(path):
    path.touch()
    with pytest.raises(GalleryFormatError, match="empty and not a gallery yet"):
        Gallery.open(path, read_only=True)
    with Gallery.open(path) as gallery:
        assert len(gallery) == 0


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE template (secret TEXT)")
        connection.execute("INSERT INTO template VALUES ('keep me')")
    connection.close()


def other_program_with_log(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE template (secret TEXT)")
    connection.close()


def other_program_with_our_id(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {0x51434647}")
        connection.execute("PRAGMA user_version = 2")
        connection.execute("CREATE TABLE template (secret TEXT)")
    connection.close()


FOREIGN = {
    "picture": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" * 100),
    "text": lambda path: path.write_text("name,vector\n" * 100),
    "one-byte": lambda path: path.write_bytes(b"S"),
    "sqlite-magic-only": lambda path: path.write_bytes(b"SQLite format 3\0"),
    "sqlite-magic-then-zeros": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4080)),
    "database": other_program,
    "database-with-log": other_program_with_log,
    "database-with-our-id": other_program_with_our_id,
}


@pytest.mark.parametrize("read_only", [False, True], ids=["writing", "reading"])
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
def test_open_foreign_file_raises_and_leaves_it(path, make, read_only):
    make(path)
    before = path.read_bytes()
    with pytest.raises(GalleryFormatError, match=path.name):
        Gallery.open(path, read_only=read_only)
    assert path.read_bytes() == before


def test_open_foreign_file_leaves_nothing_beside_it(path):
    other_program(path)
    with pytest.raises(GalleryFormatError, match="of another program"):
        Gallery.open(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_open_other_schema_version_raises_and_leaves_it(path, gallery):
    gallery.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 3")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(GalleryFormatError, match="has gallery schema 3, this SDK reads schema 2"):
        Gallery.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_open_truncated_file_raises(path, gallery, share):
    gallery.close()
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(GalleryFormatError, match=path.name):
        Gallery.open(path)


def test_open_overwritten_page_raises(path, gallery):
    gallery.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 8192)
        file.write(b"\xa5" * 8192)
    with pytest.raises(GalleryFormatError, match=path.name):
        Gallery.open(path)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE template SET data = zeroblob(length(data)) WHERE template_id = 4", "row 4 of subject 'p3': altered"),
        ("UPDATE template SET data = substr(data, 1, 100) WHERE template_id = 4", "row 4 of subject 'p3': altered"),
        ("UPDATE template SET data = 'text' WHERE template_id = 4", "row 4 of subject 'p3': altered"),
        ("UPDATE template SET subject_id = 2 WHERE template_id = 4", "row 4 of subject 'p1': altered, or of another"),
        ("UPDATE code SET data = zeroblob(length(data)) WHERE template_id = 4", "row 4 of subject 'p3': altered"),
        ("UPDATE code SET subject_id = 99 WHERE template_id = 4", "row 4.*subject is missing"),
        ("UPDATE code SET subject_id = 2 WHERE template_id = 4", "row 4 of subject 'p1': altered, or of another"),
        ("UPDATE subject SET name = 'eve' WHERE name = 'p3'", "row 4 of subject 'eve': altered, or of another"),
        ("UPDATE head SET contract = 'qc1-x'", "row 1 .*altered"),
        ("UPDATE head SET dimension = 5", "row 1 "),
        ("DELETE FROM head", "0 heads"),
        ("DROP TABLE head", "tables are not a gallery's"),
        ("CREATE TABLE more (x)", "tables are not a gallery's"),
        (
            "CREATE TRIGGER t AFTER INSERT ON template BEGIN DELETE FROM subject; END",
            "tables are not a gallery's",
        ),
    ],
)
def test_open_altered_rows_raise_naming_the_row(path, gallery, statement, words):
    gallery.close()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(GalleryFormatError, match=words):
        Gallery.open(path)


def test_identify_row_damaged_while_open_lets_nobody_in(path, gallery, person):
    with sqlite3.connect(path) as connection:
        connection.execute(
            "INSERT INTO code (template_id, subject_id, data) SELECT 11, 1, data FROM code LIMIT 1 OFFSET 5"
        )
        connection.execute("INSERT INTO template (subject_id, uid, data) VALUES (1, 'x', ?)", (bytes(400),))
    connection.close()
    for _ in range(2):
        with pytest.raises(GalleryFormatError, match="row 11 of subject 'p0': altered"):
            gallery.identify(person(1), threshold=0.5)
    assert gallery.remove("p0").templates == 2
    assert gallery.identify(person(1), threshold=0.5).subject == "p1"
    assert gallery.identify(person(0), threshold=0.5).subject is None


@pytest.mark.parametrize("place", ["missing/people", "file/people", "/proc/people"])
def test_open_impossible_folder_raises(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(
        GalleryStorageError, match=r"cannot create gallery .*people: .*folder must exist and be writable"
    ):
        Gallery.open(tmp_path / place)


def test_open_missing_file_read_only_raises_and_creates_nothing(path):
    with pytest.raises(GalleryStorageError, match="open it without read_only"):
        Gallery.open(path, read_only=True)
    assert not path.exists()


@pytest.mark.parametrize("place", [Path("."), "/dev/null"], ids=["folder", "device"])
def test_open_no_file_raises(tmp_path, place):
    with pytest.raises(GalleryFormatError, match="is not a file"):
        Gallery.open(tmp_path / place)


@pytest.mark.parametrize("place", ["a\0b", 5, None], ids=["nul", "number", "none"])
def test_open_no_path_raises(place):
    with pytest.raises(GalleryStorageError, match="name of a file"):
        Gallery.open(place)


@pytest.mark.parametrize("name", ["a?mode=memory", "50%41", "a#b", "ä ö", ":memory:"])
def test_open_odd_file_name_is_taken_literally(tmp_path, person, name):
    with Gallery.open(tmp_path / name) as gallery:
        gallery.enroll("ada", person(1))
    assert names_in(tmp_path) == sorted([name, f"{name}.key", f"{name}.keyring"])


def test_read_only_gallery_reads_and_refuses_to_write(path, gallery, person):
    with Gallery.open(path, read_only=True) as reader:
        gallery.enroll("late", person(50))
        assert reader.identify(person(50), threshold=0.9).subject == "late"
        for call in (lambda: reader.enroll("eve", person(51)), lambda: reader.remove("p1")):
            with pytest.raises(GalleryStorageError, match="read_only=True; open it without"):
                call()
        assert len(reader) == 11


READ_ONLY_FOLDER = """
import os, sys
import urllib.parse  # pathlib loads it late, when this user may no longer read the interpreter's folder
from qcface_sdk.errors import GalleryStorageError
path, probe = sys.argv[1], person(3)
if os.getuid() == 0:  # whom no permission stops
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    Gallery.open(path)
except GalleryStorageError as error:
    print(error)
with Gallery.open(path, read_only=True) as gallery:
    print(gallery.identify(probe, threshold=0.9).subject)
    sys.stdin.readline()
    try:
        gallery.identify(probe, threshold=0.9)
    except GalleryStorageError as error:
        print(error)
"""


def test_open_read_only_folder_reads_and_says_so(gallery, child):
    gallery.close()
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        copy = folder / "people"
        for ending in ("", ".keyring", ".key"):
            shutil.copyfile(gallery.path + ending, f"{copy}{ending}")
        copy.chmod(0o444)
        Path(f"{copy}.keyring").chmod(0o444)
        Path(f"{copy}.key").chmod(0o400)
        if os.getuid() == 0:
            os.chown(f"{copy}.key", 65534, 65534)
        folder.chmod(0o555)
        process = child(READ_ONLY_FOLDER, copy)
        refusal = process.stdout.readline()
        assert str(copy) in refusal
        assert "read-only; change that, or open the gallery with read_only=True" in refusal
        assert process.stdout.readline() == "p3\n"
        os.utime(copy, (0, 0))  # as if somebody with more rights had written
        process.stdin.write("\n")
        process.stdin.flush()
        assert "removed or replaced while open" in process.stdout.readline()
        assert names_in(folder) == ["people", "people.key", "people.keyring"]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


FULL = """
import resource, sys
from qcface_sdk.errors import GalleryStorageError
acknowledged = 0
with Gallery.open(sys.argv[1]) as gallery:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
    try:
        for acknowledged in range(1000):
            gallery.enroll(f"p{acknowledged}", person(acknowledged))
    except GalleryStorageError as error:
        message = str(error)
    assert len(gallery) == acknowledged, len(gallery)
    assert gallery.identify(person(acknowledged), threshold=0.5).subject is None
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    gallery.enroll("later", person(5000))
    print(acknowledged, message)
"""


def test_enroll_file_size_limit_raises_and_loses_nothing(path, child, person):
    output, _ = child(FULL, path).communicate()
    acknowledged, message = output.split(maxsplit=1)
    assert 0 < int(acknowledged) < 1000
    assert f"gallery {path} could not be used" in message
    assert "Nothing was changed" in message
    with Gallery.open(path) as gallery:
        assert len(gallery) == int(acknowledged) + 1
        for number in range(int(acknowledged)):
            assert gallery.identify(person(number), threshold=0.9).subject == f"p{number}"


def enroll_many(gallery: Gallery, person) -> None:
    for number in range(1000):
        gallery.enroll(f"p{number}", person(number))


def test_enroll_full_disk_raises_and_loses_nothing(tmp_path, person):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mounting a small file system to fill needs privileges that this process has not")
    try:
        with Gallery.open(disk / "people") as gallery:
            with pytest.raises(GalleryStorageError, match=r"full.*free some space.*Nothing was changed"):
                enroll_many(gallery, person)
            held = len(gallery)
            assert held > 0
            subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
            gallery.enroll("later", person(5000))
        with Gallery.open(disk / "people", read_only=True) as gallery:
            assert set(gallery.subjects()) == {*(f"p{number}" for number in range(held)), "later"}
            assert gallery.identify(person(held - 1), threshold=0.9).subject == f"p{held - 1}"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_enroll_locked_too_long_raises_while_searches_go_on(path, gallery, person):
    with Gallery.open(path, timeout=0.2) as patient:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        with pytest.raises(GalleryStorageError, match=r"locked.*longer timeout"):
            patient.enroll("late", person(50))
        assert time.monotonic() - start >= 0.15
        assert patient.identify(person(1), threshold=0.9).subject == "p1"
        other.execute("ROLLBACK")
        other.close()
        assert patient.enroll("late", person(50)).count == 1


@pytest.mark.parametrize("replaced", [False, True], ids=["removed", "replaced"])
def test_gallery_file_gone_while_open_raises(path, gallery, person, replaced):
    for file in path.parent.iterdir():
        file.unlink()
    if replaced:
        Gallery.open(path).close()
    for call in (lambda: gallery.identify(person(1), threshold=0.5), lambda: gallery.enroll("eve", person(1))):
        with pytest.raises(GalleryStorageError, match="removed or replaced while open"):
            call()


def test_gallery_carried_over_a_fork_raises(gallery, child):
    code = """
import os, sys
gallery = Gallery.open(sys.argv[1])
if os.fork() == 0:
    try:
        gallery.identify(person(1), threshold=0.5)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.wait()
print(gallery.identify(person(1), threshold=0.5).subject)
"""
    output, _ = child(code, gallery.path).communicate()
    refusal, found = output.splitlines()
    assert refusal.startswith("GalleryError")
    assert "open it again in the child" in refusal
    assert found == "p1"


def sealed_of(path: Path, name: str) -> bytes:
    """The bytes of one person's template as they lie in the file."""
    with sqlite3.connect(path) as connection:
        found = connection.execute(
            "SELECT data FROM template JOIN subject USING (subject_id) WHERE name = ?", (name,)
        ).fetchone()
    connection.close()
    return found[0]


def test_remove_leaves_no_copy_in_any_file(path, person):
    with Gallery.open(path) as gallery:
        for number in range(16):
            gallery.enroll(f"p{number}", person(number))
        pieces = {number: sealed_of(path, f"p{number}") for number in range(16)}
        assert not any(person(number).vector.tobytes()[:16] in all_bytes(path.parent) for number in range(16))
        full = all_bytes(path.parent)
        assert all(piece in full for piece in pieces.values())
        gone = [3, 0, 15, 7, 8, 9]
        for number in gone:
            gallery.remove(f"p{number}")
        kept = all_bytes(path.parent)
    for number, piece in pieces.items():
        parts = [piece[start : start + 16] in kept for start in range(0, len(piece) - 16, 16)]
        assert not any(parts) if number in gone else all(parts)


def test_remove_with_a_reader_in_the_way_says_so_and_is_done_later(path, gallery, person, caplog):
    first = sealed_of(path, "p1")
    with Gallery.open(path, timeout=0.1) as hurried:
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM template").fetchone()
        pieces = {name: sealed_of(path, name) for name in ("p3",)} | {"p1": first}
        assert hurried.remove("p1").templates == 1
        assert "not emptied" in caplog.text
        assert hurried.identify(person(1), threshold=0.5).subject is None
        reader.close()
        caplog.clear()
        hurried.remove("p2")
        assert not caplog.text
        everything = all_bytes(path.parent)
    assert pieces["p1"] not in everything
    assert pieces["p3"] in everything


def test_second_gallery_in_one_process_keeps_the_first_ones_locks(path, gallery, child, person):
    """Opening and closing the file by other means than SQLite would let a stranger delete the log in use."""
    Gallery.open(path).close()
    Gallery.open(path, read_only=True).close()
    output, _ = child("import sys; Gallery.open(sys.argv[1]).close(); print('done')", path).communicate()
    assert output == "done\n"
    assert Path(f"{path}-wal").exists()
    gallery.enroll("late", person(50))
    with Gallery.open(path) as again:
        assert len(again) == 11


def test_error_is_of_the_builtin_kind_too(path):
    with pytest.raises(OSError, match="cannot create"):
        Gallery.open(path / "inside")
    assert issubclass(GalleryStorageError, GalleryError)
