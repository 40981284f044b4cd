"""Who made this bundle? An Ed25519 signature over its manifest, which in turn holds the hash of every other file.

``manifest.sig`` stands beside ``manifest.json``: JSON with the public key and the signature over ``qcface-manifest-1``,
a zero byte, and the manifest's bytes. The key in it proves nothing by itself; whoever loads the bundle says which keys
to trust.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from qcface_sdk.errors import ManifestError, OptionError, SignatureError
from qcface_sdk.manifest import SIGNATURE_NAME
from qcface_sdk.strict_json import decode, dump_object, parse_object

MAX_SIGNATURE_BYTES = 4096
ALGORITHM = "Ed25519"
_CONTEXT = b"qcface-manifest-1\0"
_KEY_BYTES = 32
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")
_MAX_KEY_FILE = 64 << 10

TrustedKey = str | os.PathLike[str] | bytes
"""A public key: 64 hex digits, the path of a PEM file, or the bytes of one."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The content of ``manifest.sig``."""

    algorithm: str
    """``Ed25519``."""
    key: str
    """Public key, 64 hex digits."""
    signature: str
    """Signature, 128 hex digits."""

    @classmethod
    def from_json(cls, data: bytes) -> Signature:
        """Parse ``manifest.sig``, or raise `SignatureError`."""
        try:
            found = decode(cls, parse_object(data, SIGNATURE_NAME), "")
        except ManifestError as error:
            raise SignatureError(f"{SIGNATURE_NAME}: {error}; get the bundle again from its maker") from error
        if found.algorithm != ALGORITHM:
            raise SignatureError(f"{SIGNATURE_NAME} must be made with {ALGORITHM}, got {found.algorithm!r}")
        return found

    def to_json(self) -> bytes:
        """Return ``manifest.sig``."""
        return dump_object(self)

    @property
    def key_id(self) -> str:
        """Short name of the key, for people to compare."""
        return key_id(self.key)

    def check(self, manifest: bytes) -> None:
        """Raise `SignatureError` unless it is this key's signature of this manifest."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            key.verify(bytes.fromhex(self.signature), _CONTEXT + manifest)
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(
                f"{SIGNATURE_NAME} is no signature of this manifest by key {self.key_id}: one of them was altered; get "
                "the bundle again from its maker"
            ) from error


def sign_manifest(manifest: bytes, key: Ed25519PrivateKey) -> Signature:
    """Sign a manifest."""
    return Signature(ALGORITHM, public_hex(key), key.sign(_CONTEXT + manifest).hex())


def check_signature(manifest: bytes, signature: bytes | None, trusted: Iterable[TrustedKey] | None) -> Signature | None:
    """Return who signed a manifest, having checked it.

    Parameters
    ----------
    manifest : bytes
        ``manifest.json``.
    signature : bytes or None
        ``manifest.sig``; None if there is none.
    trusted : iterable of TrustedKey, optional
        Keys to accept. Without any, a signature that is there must hold, and none need be there.

    Raises
    ------
    SignatureError
        If the signature is absent but needed, altered, or of a key that is not trusted.
    OptionError
        If a key cannot be read.
    """
    keys = None if trusted is None else read_trusted_keys(trusted)
    if signature is None:
        if keys is None:
            return None
        raise SignatureError(
            f"the bundle has no {SIGNATURE_NAME}, and only signed bundles are accepted here; sign it with: "
            "qcface models sign"
        )
    found = Signature.from_json(signature)
    # Before the key is compared: a signature that does not hold says nothing about whose it is.
    found.check(manifest)
    if keys is not None and found.key.lower() not in keys:
        raise SignatureError(
            f"the bundle is signed by key {found.key_id}, which is not trusted here; trusted: "
            f"{', '.join(sorted(map(key_id, keys)))}"
        )
    return found


def read_trusted_keys(trusted: Iterable[TrustedKey]) -> frozenset[str]:
    """Return public keys as hex; raise `OptionError` if one cannot be read or there is none."""
    if isinstance(trusted, (str, bytes, os.PathLike)):
        raise OptionError("trusted_keys must be a list of keys, got a single one; pass [key]")
    keys = frozenset(_public_hex_of(key) for key in trusted)
    if not keys:
        raise OptionError("trusted_keys must hold at least one key, got none; pass None to accept unsigned bundles")
    return keys


def generate_key() -> Ed25519PrivateKey:
    """Return a new private key out of the operating system's randomness."""
    return Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    """Return a private key as PEM (PKCS #8), encrypted if a password is given."""
    how: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        how = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the public half of a key as PEM."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_private_key(path: str | os.PathLike[str], password: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key from a PEM file, or raise `OptionError`."""
    try:
        key = serialization.load_pem_private_key(_read_key_file(path), password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        wanted = f"{path} must hold an {ALGORITHM} private key in PEM, and its password must fit"
        raise OptionError(f"{wanted}: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise OptionError(f"{path} must hold an {ALGORITHM} private key, got {type(key).__name__}")
    return key


def public_hex(key: Ed25519PrivateKey) -> str:
    """Return the public half of a key as 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def is_hex_key(text: str) -> bool:
    """Return whether a text is a public key itself, 64 hex digits, and not the path of one."""
    return _HEX_KEY.fullmatch(text) is not None


def key_id(public: str) -> str:
    """Return the short name of a public key: the first 16 hex digits of its SHA-256."""
    try:
        raw = bytes.fromhex(public)
    except ValueError:
        raw = public.encode("utf-8", "replace")
    return hashlib.sha256(raw).hexdigest()[:16]


def _public_hex_of(key: TrustedKey) -> str:
    if isinstance(key, str) and is_hex_key(key):
        return key.lower()
    data = key if isinstance(key, bytes) else _read_key_file(key)
    try:
        public = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        what = "the bytes given" if isinstance(key, bytes) else str(key)
        raise OptionError(f"a trusted key must be 64 hex digits or a PEM public key, {what} is neither") from error
    if not isinstance(public, Ed25519PublicKey):
        raise OptionError(f"a trusted key must be an {ALGORITHM} key, got {type(public).__name__}")
    return public.public_bytes_raw().hex()


def _read_key_file(path: str | os.PathLike[str]) -> bytes:
    try:
        with open(Path(path), "rb") as file:
            return file.read(_MAX_KEY_FILE)
    except (OSError, ValueError) as error:
        raise OptionError(f"key {os.fspath(path)!r} cannot be read ({error}); check the path") from error
