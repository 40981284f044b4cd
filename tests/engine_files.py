"""The sidecar of an engine that never was, for tests."""

from __future__ import annotations

import hashlib
from types import MappingProxyType

from qcface_sdk.runtime.engine_info import EngineInfo, Target, TensorProfile

ENGINE = b"machine code" * 100
TARGET = Target("10.3.0", "12.6", "12.6", "Orin", "8.7", "linux-aarch64")


def engine_info(**changes: object) -> EngineInfo:
    empty: MappingProxyType[str, object] = MappingProxyType({})
    values: dict[str, object] = {
        "schema": 1,
        "created": "2026-01-01T00:00:00Z",
        "engine_sha256": hashlib.sha256(ENGINE).hexdigest(),
        "engine_bytes": len(ENGINE),
        "model_sha256": "a" * 64,
        "contract": "qc1-x",
        "calibration_sha256": "",
        "precision": "int8",
        "target": TARGET,
        "profiles": (TensorProfile("input", (1, 3), (1, 3), (16, 3)),),
        "options": empty,
        "preprocessing": empty,
        "norm_statistics": MappingProxyType({"mean": 20.5}),
        "layer_precisions": MappingProxyType({"int8": 20}),
        "latency_ms": empty,
    }
    return EngineInfo(**{**values, **changes})  # type: ignore[arg-type]
