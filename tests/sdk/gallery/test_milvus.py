"""The vector server's tests, in a process of their own: milvus-lite's engine closes files that pytest still uses."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qcface_sdk.errors import GalleryUnreachableError, OptionError
from qcface_sdk.gallery import Gallery
from qcface_sdk.gallery.address import parse_address

CHECKS = Path(__file__).parent / "milvus" / "check_milvus.py"


@pytest.mark.skipif(importlib.util.find_spec("milvus_lite") is None, reason="milvus-lite is not installed")
def test_gallery_in_a_vector_server(repository):
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-W", "default", str(CHECKS)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 10


@pytest.mark.parametrize(
    ("text", "uri", "collection"),
    [
        ("milvus://10.0.0.5:19530/people", "http://10.0.0.5:19530", "people"),
        ("milvus://db.example.org/site_b", "http://db.example.org:19530", "site_b"),
        ("milvus://[::1]:5/p", "http://[::1]:5", "p"),
        ("milvus:///var/lib/people.db/staff", "/var/lib/people.db", "staff"),
    ],
)
def test_address_is_parsed(text, uri, collection):
    address = parse_address(text)
    assert (address.uri, address.collection) == (uri, collection)


@pytest.mark.parametrize(
    "text",
    ["milvus://", "milvus://host", "milvus://host/", "milvus://host/a b", "milvus://user:secret@host/people",
     "milvus:///var/people/staff", "milvus://host:port/p"],
)  # fmt: skip
def test_no_address_raises_without_showing_credentials(text):
    with pytest.raises(OptionError, match="must be milvus://host:19530/name") as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_tls_is_asked_for():
    assert parse_address("milvus://host/p", tls=True).uri == "https://host:19530"


@pytest.mark.parametrize("options", [{"retries": -1}, {"retries": True}, {"timeout": 0}, {"key": bytes(32)}], ids=str)
def test_open_option_out_of_range_raises(options):
    with pytest.raises(OptionError):
        Gallery.open("milvus://127.0.0.1:1/people", **options)


def test_server_option_for_a_file_raises(path):
    with pytest.raises(OptionError, match="token belongs to milvus:// galleries"):
        Gallery.open(path, token="x")
    assert not path.exists()


def test_server_that_is_down_raises_after_the_tries_and_a_fallback_answers(gallery, person, caplog):
    pytest.importorskip("pymilvus")
    with pytest.raises(GalleryUnreachableError, match="127.0.0.1:1/people did not answer in 2 tries") as caught:
        Gallery.open("milvus://127.0.0.1:1/people", retries=1, timeout=0.5)
    assert isinstance(caught.value, ConnectionError)
    with Gallery.open("milvus://127.0.0.1:1/people", retries=0, timeout=0.5, fallback=gallery) as central:
        assert central.identify(person(3), threshold=0.9).subject == "p3"
        assert "answers instead" in caplog.text
        assert central.contract == gallery.contract
        for change in (lambda: central.enroll("ada", person(50)), lambda: central.remove("p3"), central.subjects):
            with pytest.raises(GalleryUnreachableError):
                change()
    assert len(gallery) == 10
