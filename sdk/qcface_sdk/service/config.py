"""Everything that can be configured, as frozen dataclasses; a TOML table is one of them.

The text under a field is its documentation: `sdk/docs/service.md` lists the same, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timezone, tzinfo
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.camera import CaptureOptions, DoorRules
from qcface_sdk.checks import check_choice, check_positive, check_positive_int
from qcface_sdk.errors import OptionError
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.service.secret import Secret


class SourceText(str):
    """Address of a camera as it stands in the file; the path of a recording is relative to the file's folder."""

    __slots__ = ()


class KeyText(str):
    """Public key as it stands in the file: its 64 hex digits, or a PEM file, relative to the configuration's folder."""

    __slots__ = ()


DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """``[service]``: the process."""

    state: Path = Path("state")
    """Folder for the event log; made if absent. One service each."""
    log_format: str = "text"
    """``"text"`` or ``"json"``."""
    log_level: str = "info"
    """``"debug"``, ``"info"``, ``"warning"`` or ``"error"``."""
    hang_seconds: float = 5.0
    """A door that is busy with one picture for longer counts as hung."""
    stop_seconds: float = 5.0
    """How long a stop waits for doors and deliveries."""
    exit_at_end: bool = False
    """End when every door's file is over; for trying things out."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_choice("log_format", self.log_format, ("text", "json"))
        check_choice("log_level", self.log_level, ("debug", "info", "warning", "error"))
        check_positive("hang_seconds", self.hang_seconds)
        check_positive("stop_seconds", self.stop_seconds)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """``[engine]``: the model, for all doors."""

    model: Path | None = None
    """Bundle folder or ``.qcface`` file; default: the one that ships."""
    trusted_keys: tuple[KeyText, ...] | None = None
    """Public keys (PEM files or 64 hex digits): only models signed by one of them load. Absent: unsigned ones too."""
    backend: str = "auto"
    """See `FaceEngine`."""
    precision: str = "auto"
    """See `FaceEngine`."""
    threads: int = 1
    """Threads per network run."""
    min_face: float = 40.0
    """Smallest face that is found, in pixels of the frame; below every door's ``min_face``."""
    calibration: Path | None = None
    """File made by ``qcface calibrate`` with this model, precision and backend. Absent: the bundle's thresholds."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        # An empty list would look like a demand and be none.
        if self.trusted_keys == ():
            raise OptionError("trusted_keys must hold at least one key; leave it out to take unsigned models too")
        check_positive_int("threads", self.threads)
        check_positive("min_face", self.min_face)


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryConfig:
    """``[gallery.NAME]``: who is known."""

    path: Path
    """The gallery's file; made if absent."""
    key: Secret | None = None
    """Where its master key is; absent: the environment variable ``QCFACE_GALLERY_KEY``, else the file ``PATH.key``."""


@dataclass(frozen=True, slots=True)
class FileSinkConfig:
    """``[events.file]``: events as lines of JSON."""

    path: Path = Path("events.jsonl")
    """The file."""
    fsync: str = "always"
    """``"always"`` or ``"never"``."""
    max_bytes: int = 10_000_000
    """Size at which a new file is begun."""
    retention_days: float = 30.0
    """Age at which rotated files are removed."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_choice("fsync", self.fsync, ("always", "never"))
        check_positive_int("max_bytes", self.max_bytes)
        check_positive("retention_days", self.retention_days)


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """``[mqtt]``: the broker for events and open commands."""

    host: str = "127.0.0.1"
    """Name or address of the broker."""
    port: int = 1883
    """Its port."""
    username: str | None = None
    """Login."""
    password: Secret | None = None
    """Of the login."""
    tls: bool = False
    """Encrypt, and check the broker's certificate."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    cert_file: Path | None = None
    """Our certificate."""
    key_file: Path | None = None
    """Its key."""
    prefix: str = "qcface"
    """First part of every topic."""
    client_id: str = "qcface"
    """Name at the broker; different for every service."""
    events: bool = True
    """Publish events."""
    home_assistant: str | None = None
    """Discovery prefix, usually ``"homeassistant"``; absent: no discovery."""
    timeout: float = 5.0
    """Seconds for the broker's answer."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 < self.port < 65536:
            raise OptionError(f"port must be 1..65535, got {self.port}")
        check_positive("timeout", self.timeout)
        Topics(self.prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """``[[events.webhook]]``: signed HTTP requests."""

    name: str
    """For its place in the log; keep it when the address changes."""
    url: str
    """``https://...``."""
    secret: Secret
    """Shared with the receiver; at least 16 bytes."""
    timeout: float = 5.0
    """Seconds for the answer."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    allow_plain: bool = False
    """Permit ``http://`` to another machine."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_positive("timeout", self.timeout)


@dataclass(frozen=True, slots=True)
class EventsConfig:
    """``[events]``: the log and who gets them."""

    retention_days: float = 30.0
    """Age at which events are removed from the log, delivered or not."""
    max_events: int = 1_000_000
    """Number beyond which the oldest are removed."""
    file: FileSinkConfig | None = None
    """Absent: no file."""
    webhook: tuple[WebhookConfig, ...] = ()
    """Any number."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_positive("retention_days", self.retention_days)
        check_positive_int("max_events", self.max_events)
        names = [hook.name for hook in self.webhook]
        if len(set(names)) != len(names):
            raise OptionError(f"webhook names must differ, got {names}")


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """``[metrics]``: health and Prometheus metrics over HTTP."""

    host: str = "127.0.0.1"
    """Address to listen on; there is no login, so keep it on this machine."""
    port: int = 9470
    """Port; 0 takes a free one and logs it."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        if not 0 <= self.port < 65536:
            raise OptionError(f"port must be 0..65535, got {self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleConfig:
    """``[[door.access.hours]]``: when the door lets people in; more than one adds hours.

    A night is two of them: one up to 23:59:59.999999, and one from 00:00:00 on the days after.
    """

    days: tuple[str, ...] = DAYS
    """Of ``"mon"`` ... ``"sun"``."""
    begin: time
    """Local time, without quotes, such as ``07:00:00``. Before `end`; a night takes two tables."""
    end: time
    """Local time; the first moment that is closed."""

    def __post_init__(self) -> None:
        """Refuse days and hours that there are none of."""
        for day in self.days:
            check_choice("days", day, DAYS)
        if not self.begin < self.end:
            raise OptionError(f"begin must be before end, got {self.begin} and {self.end}; split hours over midnight")


@dataclass(frozen=True, slots=True)
class AccessConfig:
    """``[door.access]``: who may come in when, of those who are recognised."""

    allow: tuple[str, ...] | None = None
    """Subjects who may; absent: everybody in the gallery."""
    hours: tuple[ScheduleConfig, ...] = ()
    """Absent: always. Several tables add hours."""
    zone: str = "UTC"
    """Time zone of the hours, such as ``"Europe/Berlin"``."""

    def __post_init__(self) -> None:
        """Refuse a zone that is none."""
        try:
            self.tzinfo()
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            wanted = "zone must be a time zone such as Europe/Berlin (from the system's tzdata)"
            raise OptionError(f"{wanted}, got {self.zone!r}") from error

    def tzinfo(self) -> tzinfo:
        """Return the time zone; UTC needs no zone data on the machine."""
        return timezone.utc if self.zone == "UTC" else ZoneInfo(self.zone)


@dataclass(frozen=True, slots=True)
class OpenConfig:
    """``[door.open]``: what opens the door. Absent: events only."""

    kind: str = "mqtt"
    """``"mqtt"`` (needs ``[mqtt]``), ``"gpio"`` or ``"osdp"``."""
    secret: Secret | None = None
    """mqtt: signs the commands. osdp: the secure channel key, 32 hex digits."""
    chip: str = "/dev/gpiochip0"
    """gpio: device of the chip."""
    line: int = 0
    """gpio: number of the line."""
    active_low: bool = False
    """gpio: whether the relay energises on low."""
    hold_seconds: float = 3.0
    """gpio, osdp: how long the lock is released."""
    port: str = "/dev/ttyUSB0"
    """osdp: serial device."""
    address: int = 0
    """osdp: of the device on the line."""
    output: int = 0
    """osdp: number of the output."""
    baud: int = 9600
    """osdp: speed of the line."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_choice("kind", self.kind, ("mqtt", "gpio", "osdp"))
        if self.kind == "osdp" and self.secret is None:
            raise OptionError("secret must be given for osdp: the device's secure channel key")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotConfig:
    """``[door.snapshots]``: pictures of decisions, bystanders blurred. Absent: no picture is kept."""

    folder: Path
    """Where; made if absent."""
    keep_days: float = 7.0
    """Age at which they are removed."""
    most: int = 1000
    """Number beyond which the oldest are removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessConfig:
    """``[door.liveness]``: MiniFASNet networks that you supply. Absent: a printed photograph is a face."""

    models: tuple[Path, ...]
    """MiniFASNet ONNX files; the name holds the network's margin, such as ``2.7_80x80_MiniFASNetV2.onnx``."""
    threshold: float = 0.5
    """Smallest mean score that counts as living."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorConfig:
    """``[[door]]``: one door with its camera."""

    name: str
    """Letters, digits, ``_`` and ``-``; in events, topics and metrics."""
    camera: str = "camera"
    """Name of the camera, of the same form."""
    source: SourceText | None = None
    """Address, file or number of the camera; without passwords."""
    source_secret: Secret | None = None
    """The same with a password, kept elsewhere; instead of `source`."""
    gallery: str = "people"
    """Name of a ``[gallery.NAME]``."""
    rules: DoorRules = field(default_factory=DoorRules)
    """``[door.rules]``: what is asked of a person."""
    capture: CaptureOptions = field(default_factory=CaptureOptions)
    """``[door.capture]``: how the camera is read."""
    access: AccessConfig = field(default_factory=AccessConfig)
    """``[door.access]``."""
    open: OpenConfig | None = None
    """``[door.open]``. Absent: nothing is opened, there are events only."""
    snapshots: SnapshotConfig | None = None
    """``[door.snapshots]``. Absent: no picture is kept."""
    liveness: LivenessConfig | None = None
    """``[door.liveness]``. Absent: a printed photograph is a face."""

    def __post_init__(self) -> None:
        """Ask for exactly one source, and for no badge that nothing here can read."""
        if self.rules.credential != "none":
            raise OptionError(
                f"rules.credential must be 'none' here, got {self.rules.credential!r}: the service has no input for a "
                "badge, so the door would never open; write a program with Door and call Door.present for the reader"
            )
        if (self.source is None) == (self.source_secret is None):
            raise OptionError("source or source_secret must be given, and not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """The whole file."""

    service: ProcessConfig = field(default_factory=ProcessConfig)
    """``[service]``."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """``[engine]``."""
    gallery: Mapping[str, GalleryConfig] = field(default_factory=lambda: MappingProxyType({}))
    """``[gallery.NAME]``, at least one."""
    door: tuple[DoorConfig, ...]
    """``[[door]]``, at least one."""
    events: EventsConfig = field(default_factory=EventsConfig)
    """``[events]``."""
    mqtt: MqttConfig | None = None
    """``[mqtt]``; absent: no MQTT."""
    metrics: MetricsConfig | None = None
    """``[metrics]``; absent: no metrics."""
    api: ApiSettings | None = None
    """``[api]``; absent: no REST API and no console."""

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        if not self.door:
            raise OptionError("door must hold at least one door")
        names = [door.name for door in self.door]
        if len(set(names)) != len(names):
            raise OptionError(f"door names must differ, got {names}")
        for door in self.door:
            if door.gallery not in self.gallery:
                known = ", ".join(self.gallery) or "none"
                raise OptionError(f"door {door.name} wants gallery {door.gallery!r}; the file has: {known}")
            if door.open is not None and door.open.kind == "mqtt" and self.mqtt is None:
                raise OptionError(f"door {door.name} opens by mqtt, which needs a table [mqtt]")
