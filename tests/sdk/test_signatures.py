"""Only bundles of a trusted maker, and every other kind refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.bundle import Bundle
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ManifestError, OptionError, SignatureError
from qcface_sdk.signatures import (
    Signature,
    check_signature,
    generate_key,
    private_pem,
    public_hex,
    public_pem,
    read_private_key,
    sign_manifest,
)
from tiny_models import tiny_bundle

KEY = generate_key()
OTHER = generate_key()


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    Bundle.load(tiny_bundle(tmp_path / "plain")).signed(KEY).save_folder(tmp_path / "signed")
    return tmp_path / "signed"


@pytest.mark.parametrize("form", ["hex", "HEX", "pem", "path"])
def test_a_key_may_be_given_as_digits_bytes_or_file(signed: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "key.pem").write_bytes(public_pem(KEY))
    digits = public_hex(KEY)
    key = {"hex": digits, "HEX": digits.upper(), "pem": public_pem(KEY), "path": tmp_path / "key.pem"}[form]
    bundle = Bundle.load(signed, trusted_keys=[public_hex(OTHER), key])
    assert bundle.signature is not None
    assert bundle.signature.key == digits


def test_the_engine_accepts_the_trusted_and_no_other(signed: Path, tmp_path: Path) -> None:
    with FaceEngine(signed, trusted_keys=[public_pem(KEY)]) as engine:
        assert engine.bundle.signature is not None
    with pytest.raises(SignatureError, match="which is not trusted here"):
        FaceEngine(signed, trusted_keys=[public_pem(OTHER)])
    with pytest.raises(SignatureError, match=r"has no manifest.sig, and only signed bundles are accepted"):
        FaceEngine(tmp_path / "plain", trusted_keys=[public_pem(KEY)])
    FaceEngine(signed).close()


def test_a_signature_survives_packing(signed: Path, tmp_path: Path) -> None:
    Bundle.pack(signed, tmp_path / "b.qcface")
    Bundle.unpack(tmp_path / "b.qcface", tmp_path / "b")
    for place in (tmp_path / "b.qcface", tmp_path / "b"):
        assert Bundle.load(place, trusted_keys=[public_hex(KEY)]).signature is not None


def test_an_altered_manifest_is_refused_with_and_without_trusted_keys(signed: Path) -> None:
    manifest = signed / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"0.0.1", b"0.0.2"))
    for keys in (None, [public_hex(KEY)]):
        with pytest.raises(SignatureError, match=r"manifest.sig is no signature of this manifest"):
            Bundle.load(signed, trusted_keys=keys)


def test_a_signature_is_checked_before_the_manifest_is_read(signed: Path) -> None:
    (signed / "manifest.json").write_bytes(b"{")
    with pytest.raises(SignatureError):
        Bundle.load(signed)
    (signed / "manifest.sig").unlink()
    with pytest.raises(ManifestError):
        Bundle.load(signed)


def test_a_foreign_key_put_into_a_true_signature_is_refused(signed: Path) -> None:
    """Someone else's file under the trusted key's name, and the trusted maker's under another name."""
    file = signed / "manifest.sig"
    value = json.loads(file.read_bytes())
    file.write_text(json.dumps({**value, "key": public_hex(OTHER)}))
    with pytest.raises(SignatureError, match="is no signature of this manifest by key"):
        Bundle.load(signed, trusted_keys=[public_hex(KEY), public_hex(OTHER)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"algorithm": "RSA", "key": "", "signature": ""}',
        b'{"algorithm": "Ed25519", "key": "", "signature": ""}',
        b'{"algorithm": "Ed25519", "key": "zz", "signature": "zz"}',
        b"x" * 5000,
    ],
)
def test_what_is_no_signature_is_named(signed: Path, data: bytes) -> None:
    (signed / "manifest.sig").write_bytes(data)
    with pytest.raises(SignatureError, match=r"manifest.sig"):
        Bundle.load(signed)


@given(place=st.integers(0, 63), bit=st.integers(0, 7))
def test_no_bit_of_a_signature_may_change(place: int, bit: int) -> None:
    good = sign_manifest(b"manifest", KEY)
    raw = bytearray.fromhex(good.signature)
    raw[place] ^= 1 << bit
    with pytest.raises(SignatureError):
        Signature(good.algorithm, good.key, raw.hex()).check(b"manifest")


def test_a_bare_signature_of_the_manifest_is_not_enough() -> None:
    """What is signed begins with a name, so a signature made for another purpose cannot be moved here."""
    bare = Signature("Ed25519", public_hex(KEY), KEY.sign(b"manifest").hex())
    with pytest.raises(SignatureError):
        check_signature(b"manifest", bare.to_json(), None)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "at least one key"),
        ("ab" * 32, "must be a list of keys"),
        (["no/such/file.pem"], "cannot be read"),
        ([b"-----BEGIN"], "64 hex digits or a PEM public key"),
        ([private_pem(KEY)], "64 hex digits or a PEM public key"),
    ],
)
def test_unusable_keys_are_refused_by_name(signed: Path, keys: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Bundle.load(signed, trusted_keys=keys)


def test_keys_of_another_kind_are_refused(signed: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(OptionError, match="must be an Ed25519 key, got RSA"):
        Bundle.load(signed, trusted_keys=[public])
    file = tmp_path / "rsa.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    with pytest.raises(OptionError, match="must hold an Ed25519 private key, got RSA"):
        read_private_key(file)


def test_a_private_key_needs_its_password(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(private_pem(KEY, b"secret"))
    assert public_hex(read_private_key(file, b"secret")) == public_hex(KEY)
    for password in (None, b"wrong"):
        with pytest.raises(OptionError, match="its password must fit"):
            read_private_key(file, password)


def test_the_signature_can_be_checked_with_the_library_alone(signed: Path) -> None:
    """The format as documented, without this package's code."""
    value = json.loads((signed / "manifest.sig").read_bytes())
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(value["key"]))
    key.verify(bytes.fromhex(value["signature"]), b"qcface-manifest-1\0" + (signed / "manifest.json").read_bytes())


def test_a_manifest_may_not_list_its_own_signature(signed: Path) -> None:
    manifest = json.loads((signed / "manifest.json").read_bytes())
    manifest["files"]["manifest.sig"] = {"sha256": "0" * 64, "bytes": 1}
    with pytest.raises(ManifestError, match="names must differ"):
        type(Bundle.load(signed).manifest).from_json(json.dumps(manifest).encode())
