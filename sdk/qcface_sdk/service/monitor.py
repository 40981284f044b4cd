"""Health and metrics over HTTP, for this machine: ``/health``, ``/live`` and ``/metrics``."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from qcface_sdk.errors import QCFaceError, ServiceError
from qcface_sdk.service.metrics import Sample, render


class Monitor:
    """A small server in a thread of its own.

    Parameters
    ----------
    host, port
        Where it listens; port 0 takes a free one.
    health : callable
        Gives a JSON-ready mapping whose ``status`` is ``ok`` or something else.
    samples : callable
        Gives the metrics.

    Raises
    ------
    ServiceError
        If it cannot listen there.
    """

    def __init__(
        self, host: str, port: int, health: Callable[[], dict[str, Any]], samples: Callable[[], Iterator[Sample]]
    ) -> None:
        render(lambda: iter(()))  # a missing package is told now, not at the first scrape

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers GET and nothing else."""

            timeout = 5

            def do_GET(self) -> None:
                """Answer."""
                status, body, kind = _answer(self.path, health, samples)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: a scrape every few seconds is no news."""

        try:
            self._server = http.server.ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise ServiceError(
                f"metrics cannot listen on {host} port {port}: {error.strerror or error}; is another program using it? "
                "choose another metrics.port"
            ) from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="qcface-monitor", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _answer(
    path: str, health: Callable[[], dict[str, Any]], samples: Callable[[], Iterator[Sample]]
) -> tuple[int, bytes, str]:
    try:
        if path == "/metrics":
            body, kind = render(samples)
            return 200, body, kind
        if path == "/health":
            found = health()
            return 200 if found["status"] == "ok" else 503, json.dumps(found).encode(), "application/json"
    except QCFaceError as error:
        return 503, json.dumps({"status": "failing", "error": str(error)}).encode(), "application/json"
    if path == "/live":
        return 200, b'{"status": "ok"}', "application/json"
    return 404, b'{"error": "there are /health, /live and /metrics"}', "application/json"
