"""Secrets of the configuration: named there, kept elsewhere."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from qcface_sdk.errors import ConfigError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is: ``{ file = "..." }`` or ``{ env = "..." }``."""

    file: Path | None = None
    """A file that holds it; white space at its ends does not count. For systemd's and Docker's credentials."""
    env: str | None = None
    """An environment variable that holds it."""

    def __post_init__(self) -> None:
        """Ask for exactly one place."""
        if (self.file is None) == (self.env is None):
            raise ConfigError("a secret needs either file or env")

    def read(self) -> bytes:
        """Return the secret.

        Raises
        ------
        ConfigError
            If it is not there or empty.
        """
        if self.env is not None:
            value = os.environ.get(self.env, "").encode()
            where = f"environment variable {self.env}"
        else:
            where = f"file {self.file}"
            value = self._of_file()
        if not value:
            raise ConfigError(f"the secret in {where} is missing or empty")
        return value

    def text(self) -> str:
        """Return the secret as text."""
        try:
            return self.read().decode()
        except UnicodeDecodeError as error:
            raise ConfigError(f"the secret in {self.file or self.env} must be text in UTF-8") from error

    def _of_file(self) -> bytes:
        assert self.file is not None
        try:
            if self.file.stat().st_mode & 0o004:
                _logger.warning("secret file %s can be read by everybody; run: chmod 600 %s", self.file, self.file)
            return self.file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"secret file {self.file}: {error.strerror or error}") from error
