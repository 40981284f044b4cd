"""What is wrong and how fast it goes: the same facts for ``/health``, the console and the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from qcface_sdk.camera import DoorStatus
from qcface_sdk.events.delivery import Delivery
from qcface_sdk.service.metrics import Sample
from qcface_sdk.service.runner import DoorRunner

_STATES = ("idle", "seen", "collecting", "cooling", "fault")


@dataclass(slots=True)
class Reloads:
    """How reloads went."""

    ok: int = 0
    """Carried out."""
    refused: int = 0
    """The file was wrong; the old configuration stayed."""
    problem: str | None = field(default=None)
    """What was wrong with the last one."""


def problems(
    runners: Iterable[DoorRunner], deliveries: Iterable[Delivery], watched: Mapping[str, str], reloads: Reloads
) -> dict[str, str]:
    """Return what is wrong now, by part; empty when all is well."""
    found: dict[str, str] = {}
    for runner in runners:
        problem = _problem_of(runner, watched.get(runner.name))
        if problem is not None:
            found[f"door {runner.name}"] = problem
    for delivery in deliveries:
        if delivery.last_error is not None:
            found[f"delivery {delivery.name}"] = delivery.last_error
        elif not delivery.alive:
            found[f"delivery {delivery.name}"] = "has ended; start the service again"
    if reloads.problem is not None:
        found["configuration"] = reloads.problem
    return found


def health(found: Mapping[str, str], runners: Iterable[DoorRunner]) -> dict[str, Any]:
    """Return the answer of ``/health``: failing where a door cannot work, degraded where only another part cannot."""
    failing = any(part.startswith("door ") for part in found)
    status = "failing" if failing else "degraded" if found else "ok"
    seen = {runner.name: runner.status for runner in runners}
    doors = {name: None if door is None else door.to_dict() for name, door in seen.items()}
    return {"status": status, "problems": dict(found), "doors": doors}


def _problem_of(runner: DoorRunner, watched: str | None) -> str | None:
    if watched is not None:
        return watched
    if runner.problem is not None:
        return runner.problem
    status = runner.status
    if status is None:
        return None if not runner.alive else "is starting"
    if status.faults:
        return "; ".join(status.faults.values())
    return (status.capture.error or "cannot see") if status.state == "fault" else None


def samples(
    model: Mapping[str, str],
    runners: Iterable[DoorRunner],
    deliveries: Iterable[Delivery],
    hung: Mapping[str, str],
    gone: Mapping[str, str],
    fps: Mapping[str, float],
    reloads: Reloads,
) -> Iterator[Sample]:
    """Yield every number of `qcface_sdk.service.metrics.METRICS` that there is."""
    yield Sample("qcface_build_info", dict(model), 1)
    for runner in runners:
        name = {"door": runner.name}
        status = runner.status
        well = status is not None and _problem_of(runner, hung.get(runner.name) or gone.get(runner.name)) is None
        yield Sample("qcface_door_up", name, float(well))
        yield Sample("qcface_door_hung", name, float(runner.name in hung))
        yield Sample("qcface_door_restarts_total", name, runner.restarts)
        if status is not None:
            yield from _samples_of_door(name, status, fps.get(runner.name, 0.0))
    for delivery in deliveries:
        yield Sample("qcface_delivery_backlog", {"destination": delivery.name}, delivery.backlog)
        yield Sample("qcface_delivery_failures_total", {"destination": delivery.name}, delivery.failures)
    yield Sample("qcface_reloads_total", {"result": "ok"}, reloads.ok)
    yield Sample("qcface_reloads_total", {"result": "refused"}, reloads.refused)


def _samples_of_door(name: dict[str, str], status: DoorStatus, fps: float) -> Iterator[Sample]:
    for state in _STATES:
        yield Sample("qcface_door_state", name | {"state": state}, float(status.state == state))
    capture = status.capture
    yield Sample("qcface_camera_fps", name, fps)
    yield Sample("qcface_camera_frames_total", name, capture.arrived)
    yield Sample("qcface_camera_frames_dropped_total", name, capture.dropped)
    yield Sample("qcface_camera_frames_damaged_total", name, capture.damaged)
    yield Sample("qcface_camera_connections_total", name, capture.connections)
    if capture.age is not None:
        yield Sample("qcface_camera_age_seconds", name, capture.age)
    for stage, times in status.stages.items():
        labels = name | {"stage": stage}
        yield Sample("qcface_stage_seconds", labels | {"quantile": "0.5"}, times.median_ms / 1000)
        yield Sample("qcface_stage_seconds", labels | {"quantile": "0.99"}, times.p99_ms / 1000)
        yield Sample("qcface_stage_runs_total", labels, times.runs)
    for kind, count in status.counts.items():
        yield Sample("qcface_events_total", name | {"kind": kind}, count)
    yield Sample("qcface_stale_accepts_total", name, status.stale)
