"""The service object in this process: console, reload of single doors, cameras that drop, parts that are missing."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker import free_port, wait_until
from mjpeg_camera import MjpegCamera
from qcface_sdk import Bundle
from qcface_sdk.api.keys import KeyFile, Role
from qcface_sdk.errors import ApiServerError, OptionError, QCFaceError, ServiceError, SignatureError
from qcface_sdk.events import EventKind
from qcface_sdk.service import Service, load_config
from qcface_sdk.service.check import check_parts
from qcface_sdk.signatures import generate_key, public_hex, public_pem
from service_process import ServiceProcess

Make = Callable[..., ServiceProcess]


def open_ends() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_console_shows_doors_and_events(service: Make) -> None:
    folder = service(more='[api]\nkeys = "keys.json"\nport = 0').folder
    key = KeyFile(folder / "keys.json").add("me", Role.ADMIN)

    def ask(path: str) -> object:
        request = urllib.request.Request(f"{running.console_url}v1{path}", headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    with Service(load_config(folder / "door.toml")) as running:
        assert ask("/doors")["doors"] == ["front"]
        assert wait_until(lambda: any(event.accepted for event in running.log.recent()), 60)
        newest = ask("/events?limit=50")["events"]
        assert any(event["subject"] == "eileen" for event in newest)
        live = ask("/doors/front/live")
        assert live["faces"]
        assert live["age_seconds"] < 60
        before = running.engine
        assert running.reload_file(folder / "door.toml")
        assert running.engine is not before
        assert ask("/doors")["doors"] == ["front"]


def test_reload_restarts_changed_doors_only(service: Make) -> None:
    made = service(more='[[door]]\nname = "side"\nsource = "film.avi"\n[door.capture]\nrealtime = true\nloop = true')
    path = made.folder / "door.toml"
    with Service(load_config(path)) as running:
        front, side = running.doors["front"], running.doors["side"]
        path.write_text(path.read_text().replace("cooldown = 1", "cooldown = 2"))
        assert running.reload_file(path)
        assert running.doors["front"] is not front
        assert running.doors["side"] is side
        assert not front.alive
        told = [(event.door, event.kind) for event in reversed(running.log.recent())]
        assert told.index(("front", EventKind.STOPPED)) < len(told)
        assert ("side", EventKind.STOPPED) not in told
        assert wait_until(lambda: ("side", EventKind.RELOADED) in {(e.door, e.kind) for e in running.log.recent()}, 30)
        path.write_text(path.read_text().replace('name = "side"', 'name = "back"').replace("port = 0", "port = 1"))
        assert running.reload_file(path)
        assert set(running.doors) == {"front", "back"}
        assert running.config.metrics is not None
        assert running.config.metrics.port == 0, "what needs a restart stays as it is"


def test_camera_that_drops_is_told_and_comes_back(service: Make, astronaut: np.ndarray) -> None:
    rng = np.random.default_rng(5)
    camera = MjpegCamera([np.clip(astronaut + rng.normal(0, 2, astronaut.shape), 0, 255).astype(np.uint8)]).start()
    capture = "first_delay = 0.1\nlongest_delay = 0.2\nstall_timeout = 2.0"
    folder = service(source=camera.url, capture=capture, rules="frozen_seconds = 600.0").folder
    with Service(load_config(folder / "door.toml")) as running:

        def count(kind: EventKind) -> int:
            return sum(event.kind is kind for event in running.log.recent(1000))

        assert wait_until(lambda: any(event.accepted for event in running.log.recent()), 60)
        for drop in (1, 2):
            camera.stop()
            assert wait_until(lambda: count(EventKind.CAMERA_LOST) >= drop, 30)  # noqa: B023 - called now
            assert running.health()["status"] == "failing"
            camera.start()
            assert wait_until(lambda: count(EventKind.CAMERA_BACK) >= drop, 30)  # noqa: B023 - called now
        accepts = [event.id for event in running.log.recent(1000) if event.accepted]
        assert len(accepts) == len(set(accepts))
    camera.stop()


def test_what_cannot_start_leaves_nothing_open(service: Make) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        made = service()
        path = made.folder / "door.toml"
        path.write_text(path.read_text().replace("port = 0", f"port = {port}"))
        before = open_ends()
        with pytest.raises(ServiceError, match=str(port)):
            Service(load_config(path)).start()
        made.configure(more=f'[api]\nkeys = "keys.json"\nport = {port}')
        KeyFile(made.folder / "keys.json").add("me", Role.READ)
        with pytest.raises(ApiServerError, match=str(port)):
            Service(load_config(path)).start()
        assert wait_until(lambda: open_ends() <= before + 1), "descriptors stay open"
    made.configure()
    with Service(load_config(path)) as running:
        assert running.monitor_port


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ({"more": '[mqtt]\npassword = { env = "NO_SUCH_SECRET" }'}, "NO_SUCH_SECRET"),
        ({"more": '[mqtt]\ntls = true\nca_file = "absent.pem"'}, "absent.pem"),
        ({"open": '[door.open]\nkind = "gpio"'}, "gpio"),
        ({"more": '[[events.webhook]]\nname="a"\nurl="http://far.example/"\nsecret={env="PATH"}'}, "unencrypted"),
        ({"rules": "fmr = 1e-9"}, "1e-09"),
    ],
)
def test_part_that_is_missing_is_named_at_the_start(service: Make, parts: dict[str, str], word: str) -> None:
    made = service(**parts)
    config = load_config(made.folder / "door.toml")
    with pytest.raises(QCFaceError, match=f"(?i){word}"):
        Service(config)
    assert not _locked(made.folder / "state")


def sign(bundle: Path, key: Ed25519PrivateKey | None = None) -> None:
    shipped = Bundle.load()
    (shipped if key is None else shipped.signed(key)).save_file(bundle, overwrite=True)


def test_model_without_a_trusted_signature_is_neither_started_nor_reloaded(service: Make) -> None:
    maker, stranger = generate_key(), generate_key()
    made = service(engine='model = "model.qcface"\ntrusted_keys = ["maker.pem"]')
    path, bundle = made.folder / "door.toml", made.folder / "model.qcface"
    sign(bundle, maker)
    with pytest.raises(OptionError, match=r"maker\.pem"):
        Service(load_config(path))
    (made.folder / "maker.pem").write_bytes(public_pem(maker))
    for signer, words in ((None, "has no manifest.sig"), (stranger, "not trusted here")):
        sign(bundle, signer)
        with pytest.raises(SignatureError, match=words):
            Service(load_config(path))
    sign(bundle, maker)
    with Service(load_config(path)) as running:
        assert list(check_parts(load_config(path)))
        trusted = running.engine
        for signer in (None, stranger):
            sign(bundle, signer)
            assert not running.reload_file(path)
            assert running.engine is trusted
        path.write_text(path.read_text().replace('"maker.pem"', f'"{public_hex(stranger)}"'))
        assert running.reload_file(path)
        assert running.engine is not trusted


def _locked(folder: Path) -> bool:
    from qcface_sdk.service.state import StateFolder

    try:
        StateFolder(folder).close()
    except ServiceError:
        return True
    return False
