from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk import OptionError
from qcface_sdk.camera import CameraAddress, SourceKind
from qcface_sdk.camera.address import scrub_text


@pytest.mark.parametrize(
    ("source", "kind", "location"),
    [
        (0, SourceKind.USB, "0"),
        ("2", SourceKind.USB, "2"),
        ("/dev/video1", SourceKind.USB, "/dev/video1"),
        ("rtsp://10.0.0.7/stream", SourceKind.RTSP, "rtsp://10.0.0.7/stream"),
        ("https://cam/mjpg", SourceKind.HTTP, "https://cam/mjpg"),
        ("gst: nvarguscamerasrc ! appsink", SourceKind.GSTREAMER, "nvarguscamerasrc ! appsink"),
        (Path("a/walk.mp4"), SourceKind.FILE, str(Path("a/walk.mp4"))),
        ("C:\\walk.mp4", SourceKind.FILE, "C:\\walk.mp4"),
    ],
)
def test_kind_and_what_is_opened(source: object, kind: SourceKind, location: str) -> None:
    address = CameraAddress.parse(source)  # type: ignore[arg-type]
    assert (address.kind, address.location) == (kind, location)
    assert address.live == (kind is not SourceKind.FILE)


@pytest.mark.parametrize(
    "source", ["", "  ", -1, True, None, 1.5, "ftp://cam/x", "rtsp://", "rtsp://cam:notaport/x", "rtsp://:99999/"]
)
def test_what_is_no_camera_is_refused(source: object) -> None:
    with pytest.raises(OptionError):
        CameraAddress.parse(source)  # type: ignore[arg-type]


WORDS = st.text(st.sampled_from("abcXYZ0189%+~!$"), min_size=6, max_size=20)


@given(user=WORDS, password=WORDS, token=WORDS)
def test_no_text_form_holds_a_secret(user: str, password: str, token: str) -> None:
    url = f"rtsp://{user}:{password}@cam.local:554/ch1/user={user}_x?token={token}&channel=1"
    address = CameraAddress.parse(url)
    error = address.scrub(f"[Errno 5] cannot open '{url}': 401 for {password}, token {token}")
    for text in (address.name, repr(address), str(address), error):
        assert password not in text
        assert token not in text
    assert "cam.local:554" in address.name
    assert "channel=1" in address.name


def test_a_malformed_address_is_refused_without_its_password() -> None:
    with pytest.raises(OptionError) as caught:
        CameraAddress.parse("rtsp://me:topsecret@cam:notaport/x")
    assert "topsecret" not in str(caught.value)


def test_a_pipeline_keeps_its_form_and_loses_its_password() -> None:
    text = "gst: rtspsrc location=rtsp://me:topsecret@cam/x user-pw=topsecret ! appsink"
    name = CameraAddress.parse(text).name
    assert "topsecret" not in name
    assert "appsink" in name


def test_plain_text_is_left_alone() -> None:
    assert scrub_text("cannot open camera 3: busy") == "cannot open camera 3: busy"
