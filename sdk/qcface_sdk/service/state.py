"""The state folder, which belongs to one running service."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from qcface_sdk.errors import ServiceError


class StateFolder:
    """A folder with a lock; two services on one event log would deliver everything twice.

    Raises
    ------
    ServiceError
        If it cannot be made or written, or another service has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = -1
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise ServiceError(f"another service uses {folder}; give each its own service.state") from error
        except OSError as error:
            self.close()
            raise ServiceError(f"state folder {folder}: {error.strerror or error}; check service.state") from error

    @property
    def log_path(self) -> Path:
        """Where the event log is."""
        return self.folder / "events.db"

    def close(self) -> None:
        """Release it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
