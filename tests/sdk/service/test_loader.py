from __future__ import annotations

import dataclasses
from datetime import datetime, time, timezone
from pathlib import Path

import pytest

from qcface_sdk.cli import main
from qcface_sdk.errors import ConfigError
from qcface_sdk.service import load_config
from qcface_sdk.service.building import make_access, mqtt_options
from qcface_sdk.service.config import ServiceConfig

SMALL = """\
[gallery.people]
path = "people.db"
[[door]]
name = "front"
source = "film.avi"
"""
WHOLE = """\
[service]
state = "/var/lib/qcface"
log_format = "json"
[engine]
min_face = 30
[gallery.people]
path = "people.db"
key = { env = "GALLERY_KEY" }
[[door]]
name = "front"
source_secret = { file = "camera.txt" }
[door.rules]
min_face = 60
fmr = 1e-5
zone = [[0, 0], [1, 0], [1, 1]]
[door.capture]
transport = "udp"
[door.access]
allow = ["ann", "bob"]
zone = "Europe/Berlin"
[[door.access.hours]]
days = ["mon", "tue"]
begin = 07:00:00
end = 19:00:00
[[door.access.hours]]
days = ["sat"]
begin = 10:00:00
end = 12:00:00
[door.open]
kind = "mqtt"
secret = { env = "OPEN_SECRET" }
[door.snapshots]
folder = "pictures"
[[door]]
name = "side"
source = "rtsp://10.0.0.7/stream"
[events]
retention_days = 7
[events.file]
path = "events.jsonl"
[[events.webhook]]
name = "hr"
url = "https://example.org/hook"
secret = { env = "HOOK_SECRET" }
[mqtt]
host = "broker.lan"
port = 8883
tls = true
username = "door"
password = { env = "MQTT_PASSWORD" }
[metrics]
[api]
keys = "keys.json"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "door.toml"
    path.write_text(text)
    return path


def test_small_file_gets_the_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SMALL))
    assert config.door[0].source == str(tmp_path / "film.avi")
    assert config.service.state == tmp_path / "state"
    assert (config.mqtt, config.metrics, config.api) == (None, None, None)
    (door,) = config.door
    assert door == dataclasses.replace(door)


def test_everything_is_read_with_its_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(write(tmp_path, WHOLE))
    front, side = config.door
    assert front.rules.zone == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert front.access.hours[0].begin == time(7)
    assert (side.source, side.gallery) == ("rtsp://10.0.0.7/stream", "people")
    assert config.service.state == Path("/var/lib/qcface")
    assert config.api is not None
    assert config.api.keys == tmp_path / "keys.json"
    monkeypatch.setenv("MQTT_PASSWORD", "hidden")
    assert config.mqtt is not None
    options = mqtt_options(config.mqtt)
    assert (options.password, options.port, options.tls) == ("hidden", 8883, True)
    assert "hidden" not in f"{config!r} {options!r}"


def test_trusted_keys_are_hex_or_files_beside_the_configuration(tmp_path: Path) -> None:
    hexadecimal = "0aF" + "1" * 61
    config = load_config(write(tmp_path, SMALL + f'[engine]\ntrusted_keys = ["maker.pub.pem", "{hexadecimal}"]'))
    assert config.engine.trusted_keys == (str(tmp_path / "maker.pub.pem"), hexadecimal)
    assert load_config(write(tmp_path, SMALL)).engine.trusted_keys is None


WRONG = [
    ("name = ", "nmae = ", "line 4: door[1].nmae: unknown key; known here: name"),
    ('path = "people.db"', "path = 7", "line 2: gallery.people.path: must be a path, got a whole number 7"),
    ('name = "front"', "name = true", "line 4: door[1].name: must be text, got true or false"),
    ('source = "film.avi"', "", "line 3: door[1]: source or source_secret must be given"),
    ("film.avi", "ftp://host/film", "line 5: door[1].source: source must be rtsp"),
    ("film.avi", "rtsp://me:secret@host/stream", "line 5: door[1].source: holds a password"),
    ("[gallery.people]", "[gallery.staff]", "door front wants gallery 'people'; the file has: staff"),
    ("[[door]]", "[door]", "line 3: door: must be a list, got a table"),
    ("[[door]]", "[[dor]]", "line 3: dor: unknown key; known here: service, engine, gallery, door"),
    (SMALL, "[service]\n", "missing key door"),
    (SMALL, "", "missing key door"),
    (SMALL, "= 1", "not TOML"),
    (SMALL, "a = [" * 5000, "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "word"), WRONG)
def test_mistake_is_named_with_line_and_key(old: str, new: str, word: str, tmp_path: Path) -> None:
    path = write(tmp_path, SMALL.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert word in str(caught.value)
    assert str(path) in str(caught.value)


ADDED = [
    ("[door.rules]\nmin_face = -1", "line 7: door[1].rules.min_face: min_face must be a finite number above 0"),
    ("[door.rules]\nfmr = 1e-4\nfpir = 1e-3", "give one of fpir, fmr and threshold"),
    ("[door.rules]\nfmr = nan", "line 7: door[1].rules.fmr"),
    ('[door.rules]\ncredential = "required"', "line 3: door[1]: rules.credential must be 'none' here"),
    ('[door.rules]\ncredential = "optional"', "the service has no input for a badge"),
    ("[engine]\ncalibration = 7", "line 7: engine.calibration: must be a path, got a whole number 7"),
    ('[door.access]\nzone = "Mars/Olympus"', "line 7: door[1].access.zone: zone must be a time zone"),
    ('[[door.access.hours]]\ndays = ["xmas"]\nbegin=07:00:00\nend=08:00:00', "line 7: door[1].access.hours[1].days"),
    ("[[door.access.hours]]\nbegin = 09:00:00\nend = 08:00:00", "begin must be before end"),
    (
        "[[door.access.hours]]\nbegin = 7\nend = 08:00:00",
        "line 7: door[1].access.hours[1].begin: must be a time such as",
    ),
    ('[door.open]\nkind = "mqtt"', "door front opens by mqtt, which needs a table [mqtt]"),
    ('[door.open]\nkind = "osdp"', "line 6: door[1].open: secret must be given for osdp"),
    ('[door.open]\nkind = "crowbar"', "line 7: door[1].open.kind: kind must be one of mqtt, gpio, osdp"),
    ("[mqtt]\nport = 0", "line 7: mqtt.port: port must be 1..65535"),
    ('[mqtt]\nprefix = "a/#"', "a topic prefix has letters"),
    ('[mqtt]\npassword = "secret"', "line 7: mqtt.password: must be a table"),
    ('[mqtt]\npassword = { file = "a", env = "B" }', "line 7: mqtt.password: a secret needs either file or env"),
    ("[metrics]\nport = 70000", "line 7: metrics.port"),
    ('[api]\nkeys = "k"\nhost = "0.0.0.0"', "line 8: api.host: api.host 0.0.0.0 reaches beyond this machine"),
    ('[[door]]\nname = "front"\nsource = "b"', "door names must differ"),
    ("[engine]\ntrusted_keys = []", "line 7: engine.trusted_keys: trusted_keys must hold at least one key"),
    ('[engine]\ntrusted_keys = "a.pem"', "line 7: engine.trusted_keys: must be a list, got text"),
    ("[engine]\ntrusted_keys = [7]", "must be a PEM file or 64 hex digits, got a whole number 7"),
    ('[engine]\ntrusted_keys = [""]', "must be a PEM file or 64 hex digits, got text"),
    ("[service]\nstop_seconds = 0", "line 7: service.stop_seconds: stop_seconds must be"),
]


@pytest.mark.parametrize(("more", "word"), ADDED)
def test_value_out_of_range_is_named_with_line_and_key(more: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, SMALL + more))
    assert word in str(caught.value)


def test_password_in_a_wrong_place_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, SMALL.replace("film.avi", "rtsp://me:secret@host/stream")))
    assert "secret@" not in str(caught.value)


def test_file_that_is_none_or_huge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="at most"):
        load_config(write(tmp_path, "#" * 1_000_001))
    (tmp_path / "door.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="not TOML"):
        load_config(tmp_path / "door.toml")


def test_command_ends_with_2_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", str(write(tmp_path, SMALL + "[metrc]"))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "line 6: metrc: unknown key; known here: service, engine" in line


def test_access_is_the_list_and_any_of_the_hours(tmp_path: Path) -> None:
    rule = make_access(load_config(write(tmp_path, WHOLE)).door[0].access)
    assert rule is not None
    monday = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)
    saturday = datetime(2026, 3, 7, 9, 30, tzinfo=timezone.utc)  # 10:30 in Berlin
    assert rule.permits("ann", "front", monday) is None
    assert rule.permits("eve", "front", monday) == "not_on_list"
    assert rule.permits("ann", "front", saturday) is None
    assert rule.permits("ann", "front", saturday.replace(hour=20)) == "outside_schedule"
    assert make_access(load_config(write(tmp_path, SMALL)).door[0].access) is None


def test_secrets_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(write(tmp_path, WHOLE))
    assert config.mqtt is not None
    assert config.mqtt.password is not None
    with pytest.raises(ConfigError, match="MQTT_PASSWORD is missing or empty"):
        config.mqtt.password.read()
    camera = config.door[0].source_secret
    assert camera is not None
    with pytest.raises(ConfigError, match="camera.txt: No such file"):
        camera.read()
    (tmp_path / "camera.txt").write_text("rtsp://me:secret@host/\n")
    assert camera.text() == "rtsp://me:secret@host/"
    (tmp_path / "camera.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        camera.text()


def test_secret_that_everybody_can_read_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config: ServiceConfig = load_config(write(tmp_path, WHOLE))
    (tmp_path / "camera.txt").write_text("x")
    (tmp_path / "camera.txt").chmod(0o644)
    assert config.door[0].source_secret is not None
    config.door[0].source_secret.read()
    assert "chmod 600" in caplog.text
