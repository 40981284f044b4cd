"""Starts and kills the RTSP server of `rtsp_server.py`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).resolve().parent / "rtsp_server.py"


def can_serve() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer, Gst"
    check += "; Gst.init(None); assert Gst.ElementFactory.find('jpegenc') and Gst.ElementFactory.find('openh264enc')"
    return (
        shutil.which(PYTHON) is not None and not subprocess.run([PYTHON, "-c", check], capture_output=True).returncode
    )


class Server:
    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> str:
        """Listen; return the address with a user and a password, needed or not."""
        quiet = {**os.environ, "GST_DEBUG": "0"}
        command = [PYTHON, str(SERVER), str(self.port), *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=quiet
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == "ready"
        return f"rtsp://viewer:topsecret@127.0.0.1:{self.port}/stream"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None
