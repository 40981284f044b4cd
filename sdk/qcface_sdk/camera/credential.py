"""A badge, code or phone that somebody presented, waiting for the face that belongs to it."""

from __future__ import annotations

import threading

from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import OptionError


class Credentials:
    """The last credential presented; it serves for one accept and expires. Thread-safe.

    Examples
    --------
    >>> credentials = Credentials(10.0)
    >>> credentials.present("ada")
    >>> credentials.current()
    'ada'
    >>> credentials.used("ada")
    >>> credentials.current() is None
    True
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held: tuple[str, float] | None = None

    def present(self, subject: str) -> None:
        """Take a credential; it replaces one that still waits.

        Raises
        ------
        OptionError
            If `subject` is not the id of a person.
        """
        if not isinstance(subject, str) or not subject:
            raise OptionError(f"a credential belongs to a subject, named by text, got {subject!r}")
        with self._lock:
            self._held = (subject, steady_seconds())

    def current(self) -> str | None:
        """Return the subject whose credential waits."""
        with self._lock:
            if self._held is not None and steady_seconds() - self._held[1] > self._seconds:
                self._held = None
            return None if self._held is None else self._held[0]

    def used(self, subject: str) -> None:
        """Say that the credential of `subject` has let somebody in."""
        with self._lock:
            if self._held is not None and self._held[0] == subject:
                self._held = None
