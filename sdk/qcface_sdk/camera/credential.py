"""A badge, code or phone that somebody presented, waiting for the face that belongs to it."""

from __future__ import annotations

import threading

from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import OptionError


class Credentials:
    """The last credential presented; it serves for one accept and expires. Thread-safe.

    Parameters
    ----------
    seconds : float
        How long it waits for its face.
    taken : bool
        Whether any is taken. Where the rules ask for none, a badge must not turn the search into a comparison.

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

    def __init__(self, seconds: float, *, taken: bool = True) -> None:
        self._seconds, self._taken = seconds, taken
        self._lock = threading.Lock()
        self._held: tuple[str, float] | None = None

    def present(self, subject: str) -> None:
        """Take a credential; it replaces one that still waits.

        Raises
        ------
        OptionError
            If none is taken, or `subject` is not the id of a person.
        """
        if not self._taken:
            raise OptionError(
                'this door takes no credentials; make it with DoorRules(credential="optional") or "required"'
            )
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
