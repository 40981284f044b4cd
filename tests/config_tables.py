"""The configuration's dataclasses as Markdown tables: what sdk/docs/service.md must hold."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

from qcface_sdk.api.settings import ApiSettings, TlsFiles
from qcface_sdk.camera import CaptureOptions, DoorRules
from qcface_sdk.service import config

TABLES: dict[str, type[Any]] = {
    "[service]": config.ProcessConfig,
    "[engine]": config.EngineConfig,
    "[gallery.NAME]": config.GalleryConfig,
    "[[door]]": config.DoorConfig,
    "[door.rules]": DoorRules,
    "[door.capture]": CaptureOptions,
    "[door.access]": config.AccessConfig,
    "[[door.access.hours]]": config.ScheduleConfig,
    "[door.open]": config.OpenConfig,
    "[door.snapshots]": config.SnapshotConfig,
    "[door.liveness]": config.LivenessConfig,
    "[events]": config.EventsConfig,
    "[events.file]": config.FileSinkConfig,
    "[[events.webhook]]": config.WebhookConfig,
    "[mqtt]": config.MqttConfig,
    "[metrics]": config.MetricsConfig,
    "[api]": ApiSettings,
    "[api.tls]": TlsFiles,
}


def _texts(kind: type[Any]) -> dict[str, str]:
    """Field to the docstring under it."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for statement, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            assert isinstance(statement.target, ast.Name)
            texts[statement.target.id] = re.sub(r"\s+", " ", str(below.value.value)).strip().replace("``", "`")
    return texts


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        nothing = field.default_factory is dataclasses.MISSING
        return "required" if nothing else "its defaults"
    value = field.default
    if value is None or value == ():
        return "absent"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (str, Path)):
        return f'`"{value}"`'
    return f"`{list(value)}`".replace("'", '"') if isinstance(value, tuple) else f"`{value}`"


def table(kind: type[Any]) -> list[str]:
    """Return one row a field."""
    texts = _texts(kind)
    return [f"| `{field.name}` | {_default(field)} | {texts[field.name]} |" for field in dataclasses.fields(kind)]
