"""Which of several files of one network is the fastest here? Measured once, then remembered in the user's cache.

Whether INT8 beats FP32 depends on the processor: with VNNI or SDOT it does by far, without it may lose. Nobody can tell
without trying.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qcface_sdk.runtime.base import Runner
from qcface_sdk.user_cache import read_cached, user_cache_folder, write_cached

_RUNS = 9
_CPUINFO = Path("/proc/cpuinfo")


def measure_speed(runners: Mapping[str, Runner]) -> dict[str, float]:
    """Return the least time of a run with one row, in milliseconds, per runner.

    The runners take turns, so a busy moment hits all of them; the least time is what disturbs least.
    """
    feeds = {name: _one_row(runner) for name, runner in runners.items()}
    best = dict.fromkeys(runners, float("inf"))
    for turn in range(_RUNS + 1):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner.infer(feeds[name])
            if turn:  # the first run prepares
                best[name] = min(best[name], (time.perf_counter() - start) * 1e3)
    return best


def speed_key(*parts: object) -> str:
    """Return the name under which a measurement is remembered: it holds for these things on this processor."""
    text = json.dumps([_processor(), *map(str, parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def remembered_speed(key: str, names: set[str]) -> dict[str, float] | None:
    """Return an earlier measurement of these runners, or None if there is none that can be used."""
    data = read_cached(_path(key))
    try:
        value = json.loads(data or b"null")
    except ValueError:
        return None
    if not isinstance(value, dict) or value.keys() != names:
        return None
    if not all(type(ms) is float and 0 < ms < float("inf") for ms in value.values()):
        return None
    return value


def remember_speed(key: str, speed: Mapping[str, float]) -> bool:
    """Keep a measurement; return whether that was possible."""
    return write_cached(_path(key), json.dumps(dict(speed), indent=1).encode())


def _path(key: str) -> Path:
    return user_cache_folder() / "speed" / f"{key}.json"


def _one_row(runner: Runner) -> dict[str, np.ndarray]:
    return {
        spec.name: np.zeros([1 if size is None else size for size in spec.shape], spec.dtype) for spec in runner.inputs
    }


def _processor() -> str:
    """Describe the processor: its model and its instruction sets, not its momentary clock."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = [platform.processor()]
    wanted = ("model name", "flags", "features", "cpu part", "cpu implementer")
    facts = sorted({line for line in lines if line.lower().startswith(wanted)}) or lines[:1]
    return f"{platform.system()} {platform.machine()} {count} {facts}"
