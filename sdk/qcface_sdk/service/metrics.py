"""Prometheus metrics of the service. Needs prometheus-client (``pip install "qcface-sdk[server]"``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from qcface_sdk.errors import BackendUnavailableError

METRICS = {
    "qcface_build_info": "Constant 1; the model's name, version and contract as labels.",
    "qcface_door_up": "1 while the door decides, 0 while it is in fault, hung, or there is none.",
    "qcface_door_state": "1 for the state the door is in: idle, seen, collecting, cooling, fault.",
    "qcface_door_hung": "1 while a stage takes longer than service.hang_seconds.",
    "qcface_door_restarts_total": "How often the door began again after an error.",
    "qcface_camera_fps": "Pictures that arrived in the last second.",
    "qcface_camera_frames_total": "Pictures that arrived.",
    "qcface_camera_frames_dropped_total": "Pictures that a newer one replaced before anybody took them.",
    "qcface_camera_frames_damaged_total": "Pictures that could not be decoded.",
    "qcface_camera_connections_total": "Connections that gave at least one picture; reconnects are this less one.",
    "qcface_camera_age_seconds": "Age of the newest picture.",
    "qcface_stage_seconds": "Time of a stage, quantiles 0.5 and 0.99 of its last runs; frame is the whole.",
    "qcface_stage_runs_total": "Runs of a stage.",
    "qcface_events_total": "Events by kind; decisions by their outcome.",
    "qcface_stale_accepts_total": "Accepts that were dropped because their picture was too old.",
    "qcface_delivery_backlog": "Events that a destination has yet to take.",
    "qcface_delivery_failures_total": "Failed attempts to deliver.",
    "qcface_reloads_total": "Reloads by result: ok or refused.",
}
"""Name and meaning of everything that is exported."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One number."""

    name: str
    """A key of `METRICS`."""
    labels: dict[str, str]
    """Label to value."""
    value: float
    """The number."""


def render(samples: Callable[[], Iterator[Sample]]) -> tuple[bytes, str]:
    """Return the text of all samples in Prometheus' format, and its content type.

    Raises
    ------
    BackendUnavailableError
        If prometheus-client is not installed.
    """
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    except ImportError as error:
        wanted = 'metrics need prometheus-client; install it with: pip install "qcface-sdk[server]"'
        raise BackendUnavailableError(wanted) from error

    class Collector:
        """Groups the samples into families."""

        def collect(self) -> Iterator[Any]:
            families: dict[str, Any] = {}
            for sample in samples():
                if sample.name not in families:
                    kind = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
                    families[sample.name] = kind(sample.name, METRICS[sample.name], labels=sorted(sample.labels))
                values = [value for _, value in sorted(sample.labels.items())]
                families[sample.name].add_metric(values, sample.value)
            yield from families.values()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector())
    return generate_latest(registry), CONTENT_TYPE_LATEST
