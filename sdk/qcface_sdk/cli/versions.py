"""Versions of installed packages, read without importing them."""

from __future__ import annotations

from importlib import metadata


def package_version(distribution: str) -> str:
    """Return the version of an installed distribution, or ``not installed``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
