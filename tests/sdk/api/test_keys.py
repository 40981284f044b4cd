from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from qcface_sdk.api.keys import KeyFile, Role
from qcface_sdk.errors import KeyFileError, OptionError


def test_key_is_found_by_its_secret_and_by_nothing_else(keys: Path) -> None:
    file = KeyFile(keys)
    secret = file.add("ann", Role.ENROL)
    found = file.find(secret)
    assert found is not None
    assert (found.name, found.role) == ("ann", Role.ENROL)
    for other in ("", secret[:-1], secret + "x", "ann", secret.upper(), "\ud800"):
        assert file.find(other) is None


def test_file_holds_no_secret_and_is_private(keys: Path) -> None:
    secret = KeyFile(keys).add("ann", Role.READ)
    assert secret not in keys.read_text()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


def test_revoked_key_is_refused_by_a_reader_that_has_the_file_open(keys: Path) -> None:
    reader = KeyFile(keys)
    secret = KeyFile(keys).add("ann", Role.READ)
    assert reader.find(secret) is not None
    KeyFile(keys).revoke("ann")
    assert reader.find(secret) is None


@pytest.mark.parametrize("name", ["", "a b", "ä", "-a", "a" * 65, "a/b"])
def test_bad_name_is_refused(keys: Path, name: str) -> None:
    with pytest.raises(OptionError, match="name"):
        KeyFile(keys).add(name, Role.READ)
    assert not keys.exists()


def test_taken_and_unknown_names_are_refused(keys: Path) -> None:
    file = KeyFile(keys)
    file.add("ann", Role.READ)
    with pytest.raises(OptionError, match="already"):
        file.add("ann", Role.ADMIN)
    with pytest.raises(OptionError, match="no key named bob"):
        file.revoke("bob")
    assert [key.name for key in file.all()] == ["ann"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema": 2, "keys": []}',
        '{"schema": 1, "keys": [{"name": "a"}]}',
        '{"schema": 1, "keys": [{"name": "a", "role": "root", "sha256": "0", "created": ""}]}',
    ],
)
def test_damaged_file_lets_nobody_in(keys: Path, text: str) -> None:
    keys.write_text(text)
    keys.chmod(0o600)
    with pytest.raises(KeyFileError):
        KeyFile(keys).find("anything")


def test_missing_file_names_the_command_that_makes_it(keys: Path) -> None:
    with pytest.raises(KeyFileError, match="qcface keys add"):
        KeyFile(keys).find("anything")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_file_that_others_can_read_is_refused(keys: Path) -> None:
    KeyFile(keys).add("ann", Role.READ)
    keys.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        KeyFile(keys).all()


def test_unwritable_folder_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot write"):
        KeyFile(tmp_path / "missing" / "keys.json").add("ann", Role.READ)


def test_unknown_role_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match="read, enrol, admin"):
        Role.of("root")
