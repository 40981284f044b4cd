"""Makes the parts of the service that the configuration names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from qcface_sdk.actuators import Actuator
from qcface_sdk.actuators.gpio import GpioActuator
from qcface_sdk.actuators.mqtt import MqttActuator
from qcface_sdk.actuators.osdp import OsdpActuator
from qcface_sdk.camera import AccessRule, AllOf, AllowList, Door, MiniFasNet, Snapshots, WeeklySchedule
from qcface_sdk.camera.decider import DEFAULT_FMR
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ConfigError
from qcface_sdk.events import EventSink
from qcface_sdk.events.json_lines import JsonLines
from qcface_sdk.events.mqtt_sink import MqttEvents
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.events.signature import check_secret
from qcface_sdk.events.webhook import Webhook
from qcface_sdk.gallery import Gallery
from qcface_sdk.mqtt import MqttOptions
from qcface_sdk.service.access import AnyOf
from qcface_sdk.service.config import (
    DAYS,
    AccessConfig,
    DoorConfig,
    EngineConfig,
    GalleryConfig,
    MqttConfig,
    OpenConfig,
    ServiceConfig,
    WebhookConfig,
)


def make_engine(config: EngineConfig) -> FaceEngine:
    """Load the model, if it is signed by a trusted key where such are named."""
    return FaceEngine(
        config.model,
        config.backend,
        config.precision,
        config.threads,
        trusted_keys=config.trusted_keys,
        min_face=config.min_face,
        calibration=config.calibration,
    )


def open_gallery(config: GalleryConfig, engine: FaceEngine) -> Gallery:
    """Open a gallery for an engine."""
    key = None if config.key is None else config.key.file or f"env:{config.key.env}"
    return Gallery.open(config.path, engine=engine, key=key)


def check_rules(config: DoorConfig, engine: FaceEngine, templates: int = 1) -> None:
    """Raise `ThresholdUnavailableError` if the measurements do not support the door's rate with so many templates."""
    rules = config.rules
    if rules.fpir is not None:
        engine.search_threshold(rules.fpir, max(1, templates))
    if rules.threshold is None:
        # A door that searches by FPIR compares tracks, and faces with credentials, by FMR.
        engine.threshold(rules.fmr or DEFAULT_FMR)


def mqtt_options(config: MqttConfig) -> MqttOptions:
    """Return where the broker is, with its secrets read."""
    return MqttOptions(
        host=config.host,
        port=config.port,
        username=config.username,
        password=None if config.password is None else config.password.text(),
        tls=config.tls,
        ca_file=_text(config.ca_file),
        cert_file=_text(config.cert_file),
        key_file=_text(config.key_file),
        timeout=config.timeout,
    )


def make_sinks(config: ServiceConfig) -> dict[str, EventSink]:
    """Return the destinations of events by name; nothing is connected yet that could fail."""
    sinks: dict[str, EventSink] = {}
    if (file := config.events.file) is not None:
        sinks["file"] = JsonLines(
            file.path, fsync=file.fsync, max_bytes=file.max_bytes, retention_days=file.retention_days
        )
    for hook in config.events.webhook:
        sinks[f"webhook-{hook.name}"] = make_webhook(hook)
    if config.mqtt is not None and config.mqtt.events:
        sinks["mqtt"] = MqttEvents(
            mqtt_options(config.mqtt),
            Topics(config.mqtt.prefix),
            doors=[door.name for door in config.door],
            home_assistant=config.mqtt.home_assistant,
            client_id=f"{config.mqtt.client_id}-events",
        )
    return sinks


def make_webhook(config: WebhookConfig) -> Webhook:
    """Return a webhook, its address, secret and certificates checked; nothing is connected."""
    return Webhook(
        config.url,
        config.secret.read(),
        timeout=config.timeout,
        ca_file=_text(config.ca_file),
        allow_plain=config.allow_plain,
    )


def prepare_actuator(config: OpenConfig | None, mqtt: MqttConfig | None, door: str) -> Callable[[], Actuator] | None:
    """Return what makes a door's actuator, its secrets read; no line, port or name at the broker is taken before."""
    if config is None:
        return None
    if config.kind == "gpio":
        return partial(
            GpioActuator, config.chip, config.line, hold_seconds=config.hold_seconds, active_low=config.active_low
        )
    if config.kind == "osdp":
        return partial(
            OsdpActuator,
            config.port,
            config.address,
            _osdp_key(config),
            output=config.output,
            hold_seconds=config.hold_seconds,
            baud=config.baud,
        )
    if mqtt is None:
        raise ConfigError(f"door {door} opens by mqtt, which needs a table [mqtt]")
    options = mqtt_options(mqtt)
    options.tls_context()
    secret = None if config.secret is None else check_secret(config.secret.read())
    client_id = f"{mqtt.client_id}-open-{door}"
    return partial(MqttActuator, options, Topics(mqtt.prefix), secret=secret, client_id=client_id)


def make_access(config: AccessConfig) -> AccessRule | None:
    """Return who may come in when; ``None`` for everybody always."""
    rules: list[AccessRule] = []
    if config.allow is not None:
        rules.append(AllowList(frozenset(config.allow)))
    if config.hours:
        zone = config.tzinfo()
        hours = [{DAYS.index(day): (one.begin, one.end) for day in one.days} for one in config.hours]
        rules.append(AnyOf(tuple(WeeklySchedule(week, zone) for week in hours)))
    return AllOf(tuple(rules)) if rules else None


def make_door(
    config: DoorConfig,
    engine: FaceEngine,
    galleries: Mapping[str, Gallery],
    log: EventSink,
    actuator: Actuator | None,
) -> Door:
    """Return a door that is ready to be iterated over."""
    people: Any = galleries[config.gallery]
    source = config.source if config.source_secret is None else config.source_secret.text()
    assert source is not None
    pictures, liveness = config.snapshots, config.liveness
    return Door(
        engine,
        people,
        str(source),
        name=config.name,
        camera=config.camera,
        rules=config.rules,
        capture=config.capture,
        liveness=None if liveness is None else MiniFasNet(liveness.models, threshold=liveness.threshold),
        access=make_access(config.access),
        sink=log,
        actuator=actuator,
        snapshots=None
        if pictures is None
        else Snapshots(pictures.folder, keep_days=pictures.keep_days, most=pictures.most),
    )


def _osdp_key(config: OpenConfig) -> bytes:
    assert config.secret is not None
    try:
        return bytes.fromhex(config.secret.text())
    except ValueError as error:
        raise ConfigError("the OSDP key must be 32 hex digits") from error


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
