"""`qcface run --check`: whether everything that a configuration names is there, without running it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qcface_sdk.camera.address import CameraAddress, SourceKind
from qcface_sdk.errors import ConfigError
from qcface_sdk.service.building import check_rules, make_engine, make_webhook, mqtt_options
from qcface_sdk.service.config import DoorConfig, OpenConfig, ServiceConfig


def check_parts(config: ServiceConfig) -> Iterator[str]:
    """Yield one line for each part that is in order.

    Nothing is connected, made or opened but the model, so it can be run beside a running service.

    Raises
    ------
    QCFaceError
        For the first part that is not in order.
    """
    with make_engine(config.engine) as engine:
        yield f"model {engine!r}"
        for name, gallery in config.gallery.items():
            if gallery.key is not None and gallery.path.exists():
                gallery.key.read()
            known = "is there" if gallery.path.exists() else "will be made"
            if not gallery.path.parent.is_dir():
                raise ConfigError(f"gallery {name}: folder {gallery.path.parent} does not exist")
            yield f"gallery {name}: {gallery.path} {known}"
        for door in config.door:
            check_rules(door, engine)
            yield f"door {door.name}: {_source(door)}, opens by {_opens(door.open)}"
    if config.mqtt is not None:
        mqtt_options(config.mqtt).tls_context()
        yield f"mqtt: {config.mqtt.host}:{config.mqtt.port}{' with TLS' if config.mqtt.tls else ''}"
    for hook in config.events.webhook:
        make_webhook(hook)
        yield f"webhook {hook.name}"


def _source(door: DoorConfig) -> str:
    text = str(door.source) if door.source_secret is None else door.source_secret.text()
    address = CameraAddress.parse(text)
    if address.kind is SourceKind.FILE and not Path(text).is_file():
        raise ConfigError(f"door {door.name}: there is no recording {text}")
    return address.name


def _opens(config: OpenConfig | None) -> str:
    if config is None:
        return "nothing, events only"
    if config.secret is not None:
        config.secret.read()
    return config.kind
