"""Optional packages that whole commands need, with the line that installs them."""

from __future__ import annotations

import importlib.util

from qcface_sdk.errors import BackendUnavailableError


def require_server() -> None:
    """Check that the packages of the REST API are there.

    Raises
    ------
    BackendUnavailableError
        Names what is missing and the line that installs it.
    """
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if importlib.util.find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(
            f"this needs {', '.join(missing)}, which is not installed; pip install 'qcface-sdk[server]'"
        )
