"""The files of examples/deploy, as far as they can be checked without the machines they are for."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qcface_sdk.events import EventKind
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.service import load_config
from qcface_sdk.user_cache import VARIABLE

DEPLOY = Path(__file__).resolve().parents[2] / "examples" / "deploy"
UNIT = (DEPLOY / "qcface.service").read_text()


def unit() -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for line in UNIT.splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


def test_unit_starts_checks_and_reloads_the_service() -> None:
    configparser.RawConfigParser(strict=False).read_string(UNIT)
    values = unit()
    assert values["Type"] == ["notify"]
    assert values["ExecStart"][0].endswith("qcface run --config /etc/qcface/door.toml")
    assert values["ExecStartPre"][0] == values["ExecStart"][0] + " --check"
    assert values["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert float(values["WatchdogSec"][0]) >= 10 * 1.0, "the watch reports once a second"


def test_unit_gives_nothing_away() -> None:
    values = unit()
    for key in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictNamespaces", "ProtectKernelModules"):
        assert values[key] == ["yes"]
    assert values["ProtectSystem"] == ["strict"]
    assert values["CapabilityBoundingSet"] == [""]
    assert values["User"] == ["qcface"]


def test_what_was_measured_once_is_kept_where_it_can_be_written() -> None:
    values = unit()
    assert values["Environment"] == [f"{VARIABLE}=/var/cache/{values['CacheDirectory'][0]}"]
    for name in ("Containerfile", "Containerfile.jetson"):
        text = (DEPLOY / name).read_text()
        (folder,) = re.findall(rf"^ENV {VARIABLE}=(.*)$", text, re.MULTILINE)
        (volume,) = re.findall(r"^VOLUME (.*)$", text, re.MULTILINE)
        assert Path(folder).is_relative_to(volume)


def test_installation_is_from_a_checkout_and_brings_what_is_used() -> None:
    for path in (*DEPLOY.iterdir(), *DEPLOY.parent.glob("*.py")):
        assert '"qcface-sdk[' not in path.read_text(), f"{path.name}: the package is on no index"
    assert '"cuda-bindings' in (DEPLOY / "Containerfile.jetson").read_text()


def test_gallery_is_enrolled_into_as_the_services_user() -> None:
    document = (DEPLOY.parents[1] / "sdk" / "docs" / "service.md").read_text()
    (gallery,) = load_config(DEPLOY / "door.toml").gallery.values()
    for command in (
        "install -d -o qcface -g qcface -m 700 /var/lib/qcface",
        f"runuser -u {unit()['User'][0]} -- /opt/qcface/bin/qcface enroll {gallery.path} ann-lee badge.jpg",
    ):
        assert f"\n{command}\n" in document
        assert f"#   {command}\n" in UNIT


def test_controller_knows_the_options_that_the_document_gives_it() -> None:
    document = (DEPLOY.parents[1] / "sdk" / "docs" / "service.md").read_text()
    example = "examples/10_mqtt_door_controller.py"
    (shown,) = re.findall(rf"^python {example} ((?:.*\\\n)*.*)$", document, re.MULTILINE)
    command = [sys.executable, str(DEPLOY.parents[1] / example), "--help"]
    known = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert set(re.findall(r"--[a-z-]+", shown)) <= set(re.findall(r"--[a-z-]+", known))


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / "qcface.service"
    copy.write_text(UNIT.replace("/opt/qcface/bin/qcface", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=60
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd-analyze cannot work in this container")
    assert "qcface.service" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["Containerfile", "Containerfile.jetson"])
def test_container_is_well_formed_and_without_rights(name: str) -> None:
    text = (DEPLOY / name).read_text().replace("\\\n", " ")
    words = [line.split()[0] for line in text.splitlines() if line and not line.startswith(("#", " "))]
    known = {"FROM", "RUN", "COPY", "USER", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "ENV"}
    assert set(words) <= known
    assert words[0] == "FROM"
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert "USER qcface" in text
    assert re.search(r'ENTRYPOINT \["/opt/qcface/bin/qcface", "run"\]', text)
    assert "STOPSIGNAL SIGTERM" in text


def test_configuration_of_a_real_door_is_right() -> None:
    config = load_config(DEPLOY / "door.toml")
    assert config.mqtt is not None
    assert config.mqtt.tls
    assert config.door[0].open is not None
    assert config.door[0].open.secret is not None, "commands are signed"


def test_neighbours_use_topics_that_are_published() -> None:
    topics = Topics()
    published = {topics.of_kind("front", kind.value) for kind in EventKind} | {topics.open("front")}
    text = (DEPLOY / "home_assistant.yaml").read_text() + (DEPLOY / "mosquitto.acl").read_text()
    named = set(re.findall(r"qcface/front/[a-z_]+", text))
    assert named
    assert named <= published
    assert topics.tracked_object_update in (DEPLOY / "frigate.yaml").read_text()


def test_only_the_service_may_open() -> None:
    rights: dict[str, list[str]] = {}
    user = ""
    for line in (DEPLOY / "mosquitto.acl").read_text().splitlines():
        words = line.split()
        if words[:1] == ["user"]:
            user = words[1]
        elif words[:1] == ["topic"]:
            rights.setdefault(user, []).append(f"{words[1]} {words[2]}")
    writers = [name for name, lines in rights.items() if any(line.startswith(("write", "readwrite")) for line in lines)]
    assert writers == ["qcface"]
    assert rights["controller-front"] == ["read qcface/front/open"]
    topics = Topics()
    published = {topics.available, topics.events, topics.tracked_object_update, topics.problem("+")}
    published |= {topics.of_kind("+", kind.value) for kind in EventKind}
    assert set(rights["homeassistant"]) == {f"read {topic}" for topic in published | {"homeassistant/#"}}
