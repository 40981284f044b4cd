"""An IP camera on loopback (motion JPEG over HTTP) whose connection can be dropped and restored."""

from __future__ import annotations

import http.server
import itertools
import socket
import threading
from collections.abc import Sequence

import cv2
import numpy as np


class MjpegCamera:
    """Gives the pictures in turn, for ever, at ten a second, to whoever connects."""

    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self._pictures = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]
        self._connections: set[socket.socket] = set()
        self._gone = threading.Event()
        self.port = 0
        self._server: http.server.ThreadingHTTPServer | None = None

    def start(self) -> MjpegCamera:
        camera = self
        self._gone.clear()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                camera._connections.add(self.connection)
                try:
                    for picture in itertools.cycle(camera._pictures):
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                        self.wfile.write(head.encode() + picture + b"\r\n")
                        if camera._gone.wait(0.1):
                            return
                except OSError:
                    return
                finally:
                    camera._connections.discard(self.connection)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Drop every connection and refuse new ones."""
        assert self._server is not None
        self._gone.set()
        self._server.shutdown()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/video.mjpg"


def visits(picture: np.ndarray, shown: int = 15, empty: int = 25) -> list[np.ndarray]:
    """Somebody who stands before the camera, is gone, and comes again; with the noise that a camera has."""
    rng = np.random.default_rng(3)
    wall = np.full_like(picture, 90)
    frames = [picture] * shown + [wall] * empty
    return [np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8) for frame in frames]
