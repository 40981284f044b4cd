"""Tells systemd how it goes: ready, reloading, stopping, alive (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time


def notify(*states: str) -> bool:
    """Send states such as ``READY=1`` to the service manager; return whether there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        try:
            manager.connect(target)
            manager.sendall("\n".join(states).encode())
        except OSError:
            return False
    return True


def reloading() -> bool:
    """Say that the configuration is being read again; ``READY=1`` ends it."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
