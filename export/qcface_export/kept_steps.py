"""Names under which a release keeps what its steps made: by what went in, and by how it is made."""

from __future__ import annotations

import hashlib

STEPS_VERSION = 1
"""In the name of every kept step but the figures. Raise it when a step makes something else of the same input."""


def kept_name(step: str, *made_of: object) -> str:
    """Return the name of a step's file, without suffix.

    Parameters
    ----------
    step : str
        What the name begins with.
    *made_of : object
        All that the result follows from, of types whose `repr` tells equal from different; large ones by their hash.
    """
    digest = hashlib.sha256(repr((STEPS_VERSION, *made_of)).encode()).hexdigest()
    return f"{step}-{digest[:16]}"
