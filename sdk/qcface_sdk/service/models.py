"""The engine and the galleries of a configuration: what a hot reload replaces."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from qcface_sdk.engine import FaceEngine
from qcface_sdk.gallery import Gallery
from qcface_sdk.service.building import check_rules, make_engine, open_gallery
from qcface_sdk.service.config import ServiceConfig


@dataclass(frozen=True, slots=True)
class Models:
    """One generation of engine and galleries, shared by all doors."""

    engine: FaceEngine
    """Finds and embeds."""
    galleries: Mapping[str, Gallery]
    """By the name in the configuration."""
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Device and inode of each gallery's file when it was opened."""

    @classmethod
    def load(cls, config: ServiceConfig) -> Models:
        """Load the model, check the doors' rates with it, open every gallery; nothing stays open if one fails."""
        engine = make_engine(config.engine)
        galleries: dict[str, Gallery] = {}
        try:
            for door in config.door:
                check_rules(door, engine)
            for name, gallery in config.gallery.items():
                galleries[name] = open_gallery(gallery, engine)
            for door in config.door:
                check_rules(door, engine, galleries[door.gallery].size)
        except BaseException:
            cls(engine, galleries).close()
            raise
        return cls(engine, galleries, {name: _identity(gallery.path) for name, gallery in galleries.items()})

    def gone(self) -> dict[str, str]:
        """Return the galleries whose file was removed or replaced meanwhile, and what to do."""
        remedy = "put it back and reload (SIGHUP)"
        return {
            name: f"gallery {self.galleries[name].path} was removed or replaced; {remedy}"
            for name, identity in self.files.items()
            if _identity(self.galleries[name].path) != identity
        }

    def close(self) -> None:
        """Close all of it; a door that still uses it fails, and stays shut."""
        for gallery in self.galleries.values():
            gallery.close()
        self.engine.close()


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return (-1, -1)
    return status.st_dev, status.st_ino
