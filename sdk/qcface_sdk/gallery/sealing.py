"""AES-256-GCM for one template, code or crop: bound to its person, its contract and its kind."""

from __future__ import annotations

import os
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
TAG_BYTES = 16


class Kind(Enum):
    """What is sealed; one kind never opens as another."""

    TEMPLATE = b"template"
    CODE = b"code"
    CROP = b"crop"


def bound_to(kind: Kind, subject: str, contract: str) -> bytes:
    """Return the associated data: what a sealed piece cannot be moved away from."""
    name = subject.encode("utf-8")
    return b"\0".join((b"qcface gallery 2", kind.value, b"%d" % len(name), name, contract.encode("ascii")))


def seal(key: bytes, plain: bytes, bound: bytes) -> bytes:
    """Return nonce, ciphertext and tag."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def unseal(key: bytes, sealed: bytes, bound: bytes) -> bytes | None:
    """Return what was sealed, or ``None`` if a bit of it, its key or its owner is another."""
    if not isinstance(sealed, bytes) or len(sealed) < NONCE_BYTES + TAG_BYTES:
        return None
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        return None
