"""The master key, the wrapped keys, and what a gallery does without the right ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from qcface_sdk.errors import GalleryKeyError, GalleryStorageError, OptionError
from qcface_sdk.gallery import Gallery
from qcface_sdk.gallery.keyring import RECORD_BYTES, Keyring
from qcface_sdk.gallery.master import KEY_BYTES, FileKey, key_source, new_key_text, parse_key, write_key

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_default_key_is_a_file_beside_for_the_owner_alone_and_said_so(path, person, caplog):
    with Gallery.open(path) as gallery:
        gallery.enroll("ada", person(1))
    key = Path(f"{path}.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert f"made key file {key}" in caplog.text
    assert len(FileKey(str(key)).load()) == KEY_BYTES
    caplog.clear()
    with Gallery.open(path) as gallery:
        assert gallery.subjects() == ("ada",)
    assert not caplog.text


def test_key_from_environment_callback_bytes_or_file_opens_the_same_gallery(path, person, tmp_path, monkeypatch):
    text = new_key_text()
    key = parse_key(text, "test")
    file = tmp_path / "elsewhere.key"
    write_key(str(file), key)
    monkeypatch.setenv("QCFACE_GALLERY_KEY", text)
    monkeypatch.setenv("MY_KEY", text)
    with Gallery.open(path) as gallery:
        gallery.enroll("ada", person(1))
    assert not Path(f"{path}.key").exists()
    for given in (None, "env:MY_KEY", key, lambda: key, file, str(file)):
        with Gallery.open(path, key=given) as gallery:
            assert gallery.identify(person(1), threshold=0.9).subject == "ada"


@pytest.mark.parametrize("given", [OTHER, lambda: OTHER], ids=["bytes", "function"])
@pytest.mark.parametrize("read_only", [False, True])
def test_wrong_key_raises_and_changes_nothing(path, person, given, read_only):
    with Gallery.open(path, key=KEY) as gallery:
        gallery.enroll("ada", person(1))
    files = (path, Path(f"{path}.keyring"))
    before = [file.read_bytes() for file in files]
    with pytest.raises(GalleryKeyError, match="another key than .*keyring was written with"):
        Gallery.open(path, key=given, read_only=read_only)
    assert [file.read_bytes() for file in files] == before


def test_missing_key_file_of_an_old_gallery_raises_and_makes_none(path, gallery):
    gallery.close()
    Path(f"{path}.key").unlink()
    with pytest.raises(GalleryKeyError, match=r"cannot read key file .*people.qcgallery.key"):
        Gallery.open(path)
    assert not Path(f"{path}.key").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (7, "key must be a file name, 'env:NAME'"),
        ("", "key must be"),
        (b"short", "must return 32 bytes, got 5 bytes"),
        (lambda: "text", "must return 32 bytes, got str"),
        ("env:QCFACE_TEST_NOT_SET", "QCFACE_TEST_NOT_SET is not set"),
    ],
    ids=["number", "blank", "short", "text", "unset"],
)
def test_unusable_key_raises_and_makes_no_gallery(path, given, words):
    with pytest.raises(GalleryKeyError, match=words):
        Gallery.open(path, key=given)
    assert not path.exists() or path.stat().st_size == 0


@pytest.mark.parametrize("text", ["", "secret", "qcface-key-1:", "qcface-key-1:AAAA", "qcface-key-2:" + 44 * "A"])
def test_file_without_a_key_raises_without_showing_what_it_holds(tmp_path, text):
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(GalleryKeyError, match="holds no key") as caught:
        FileKey(str(file)).load()
    assert "secret" not in str(caught.value)
    assert "AAAA" not in str(caught.value)


def test_key_file_that_others_can_read_is_refused(path, gallery):
    gallery.close()
    Path(f"{path}.key").chmod(0o640)
    with pytest.raises(GalleryKeyError, match=r"mode 640\); chmod 600"):
        Gallery.open(path)


def test_write_key_never_overwrites(tmp_path):
    write_key(str(tmp_path / "k"), KEY)
    with pytest.raises(FileExistsError):
        write_key(str(tmp_path / "k"), OTHER)
    assert FileKey(str(tmp_path / "k")).load() == KEY
    assert [file.name for file in tmp_path.iterdir()] == ["k"]
    with pytest.raises(GalleryStorageError, match="cannot write key file"):
        write_key(str(tmp_path / "none" / "k"), KEY)


def test_missing_keyring_raises_and_makes_none(path, gallery):
    gallery.close()
    Path(f"{path}.keyring").unlink()
    with pytest.raises(GalleryKeyError, match=r"Without them nobody .* can be read"):
        Gallery.open(path)
    assert not Path(f"{path}.keyring").exists()


def test_new_gallery_never_overwrites_the_keys_of_an_earlier_one(path, gallery):
    gallery.close()
    path.unlink()
    before = Path(f"{path}.keyring").read_bytes()
    with pytest.raises(GalleryKeyError, match=r"keys of an earlier gallery; .*gallery restore"):
        Gallery.open(path)
    assert Path(f"{path}.keyring").read_bytes() == before


@pytest.mark.parametrize(
    ("offset", "data", "words"),
    [
        (0, b"XXXX", "not a file of wrapped keys"),
        (20, b"\xff", "not a file of wrapped keys"),
        (4 * RECORD_BYTES + 30, b"\xff\xff", "slot 3, is damaged"),
        (4 * RECORD_BYTES, bytes(RECORD_BYTES), "no key for subject 'p3'"),
    ],
)
def test_damaged_keyring_raises(path, gallery, offset, data, words):
    gallery.close()
    overwrite(Path(f"{path}.keyring"), offset, data)
    with pytest.raises(GalleryKeyError, match=words):
        Gallery.open(path)


@pytest.mark.parametrize("records", [0.5, 1, 4, 4.5])
def test_cut_off_keyring_raises(path, gallery, records):
    gallery.close()
    os.truncate(f"{path}.keyring", int(records * RECORD_BYTES))
    with pytest.raises(GalleryKeyError):
        Gallery.open(path)


def test_keyring_of_another_gallery_raises(path, gallery, tmp_path, person):
    gallery.close()
    with Gallery.open(tmp_path / "other", key=f"{path}.key") as other:
        for number in range(10):
            other.enroll(f"p{number}", person(number))
    Path(f"{path}.keyring").write_bytes((tmp_path / "other.keyring").read_bytes())
    with pytest.raises(GalleryKeyError, match="belongs to another gallery"):
        Gallery.open(path)


def test_keys_swapped_between_people_raise(path, gallery):
    gallery.close()
    file = Path(f"{path}.keyring")
    data = file.read_bytes()
    first, second = data[RECORD_BYTES : 2 * RECORD_BYTES], data[2 * RECORD_BYTES : 3 * RECORD_BYTES]
    overwrite(file, RECORD_BYTES, second + first)
    with pytest.raises(GalleryKeyError, match="another person's key"):
        Gallery.open(path)


def test_removed_person_leaves_no_key_and_the_slot_is_used_again(path, gallery, person):
    file = Path(f"{path}.keyring")
    size, old = file.stat().st_size, file.read_bytes()[3 * RECORD_BYTES : 4 * RECORD_BYTES]
    gallery.remove("p2")
    assert file.read_bytes()[3 * RECORD_BYTES : 4 * RECORD_BYTES] == bytes(RECORD_BYTES)
    gallery.enroll("new", person(50))
    assert file.stat().st_size == size
    assert file.read_bytes()[3 * RECORD_BYTES : 4 * RECORD_BYTES] not in (old, bytes(RECORD_BYTES))
    assert gallery.identify(person(50), threshold=0.9).subject == "new"


def test_rotate_key_leaves_people_and_makes_the_old_key_wrong(path, gallery, person):
    old = FileKey(f"{path}.key").load()
    assert gallery.rotate_key() == 10
    assert FileKey(f"{path}.key").load() != old
    gallery.enroll("late", person(50))
    gallery.close()
    with Gallery.open(path) as again:
        assert again.identify(person(50), threshold=0.9).subject == "late"
        assert len(again) == 11
    with pytest.raises(GalleryKeyError, match="another key"):
        Gallery.open(path, key=old)


def test_rotate_key_to_another_source(path, gallery, person, tmp_path):
    assert gallery.rotate_key(tmp_path / "new.key") == 10
    gallery.rotate_key(OTHER)
    with pytest.raises(OptionError, match="give the new one with key="):
        gallery.rotate_key()
    gallery.close()
    with Gallery.open(path, key=OTHER) as again:
        assert again.identify(person(3), threshold=0.9).subject == "p3"
    with pytest.raises(GalleryKeyError):
        Gallery.open(path)


def test_rotation_by_another_handle_is_followed(path, gallery, person):
    with Gallery.open(path) as other:
        gallery.rotate_key()
        other.enroll("late", person(50))
        assert gallery.identify(person(50), threshold=0.9).subject == "late"
        assert other.identify(person(4), threshold=0.9).subject == "p4"


@pytest.mark.parametrize("cut", ["prepared", "rewrapped"])
def test_rotation_cut_off_at_any_point_opens(path, gallery, person, monkeypatch, cut):
    class PowerCut(BaseException):
        pass

    def stop(*_):
        raise PowerCut

    monkeypatch.setattr(Keyring, "rewrap" if cut == "prepared" else "_open", stop)
    with pytest.raises(PowerCut):
        gallery.rotate_key()
    monkeypatch.undo()
    gallery.close()
    for _ in range(2):
        with Gallery.open(path) as again:
            assert again.identify(person(3), threshold=0.9).subject == "p3"
    assert Path(f"{path}.key.next").exists() == (cut == "prepared")
    with Gallery.open(path) as again:
        assert again.rotate_key() == 10


def test_key_source_never_shows_the_key():
    assert repr(KEY)[2:20] not in repr(key_source(KEY, "x")) + key_source(KEY, "x").name
