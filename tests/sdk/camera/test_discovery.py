"""Against a stand-in with onvif-python's interface (0.4.7): no camera and no package are needed, and none was asked."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from qcface_sdk import BackendUnavailableError, CameraAccessError, CameraError
from qcface_sdk.camera import find_cameras, stream_of
from qcface_sdk.camera.discovery import FoundCamera

DEVICE = {
    "host": "10.0.0.7",
    "port": 8000,
    "use_https": False,
    "scopes": ["onvif://www.onvif.org/name/Front%20Door\x1b[31m", "onvif://www.onvif.org/hardware/C-1"],
}
CAMERA = FoundCamera("10.0.0.7", 8000, False, None, None)


def stand_in(monkeypatch: pytest.MonkeyPatch, *, uri: str = "", error: Exception | None = None) -> list[Any]:
    asked: list[Any] = []

    class Media:
        def GetProfiles(self) -> list[Any]:
            if error is not None:
                raise error
            return [types.SimpleNamespace(token="profile_1")]

        def GetStreamUri(self, StreamSetup: Any, ProfileToken: str) -> Any:
            asked.append((StreamSetup["Transport"]["Protocol"], ProfileToken))
            return types.SimpleNamespace(Uri=uri)

    class Client:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            asked.append((arguments, options))

        def media(self) -> Media:
            return Media()

    class Discovery:
        def __init__(self, timeout: int) -> None:
            assert timeout == 2

        def discover(self) -> list[dict[str, Any]]:
            if error is not None:
                raise error
            return [DEVICE, dict(DEVICE, host="10.0.0.3", scopes=[]), DEVICE]

    module = types.ModuleType("onvif")
    module.ONVIFDiscovery, module.ONVIFClient = Discovery, Client  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onvif", module)
    return asked


def test_each_camera_once_in_order_and_names_made_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    found = find_cameras(1.5)
    assert [camera.host for camera in found] == ["10.0.0.3", "10.0.0.7"]
    assert (found[1].name, found[1].hardware, found[0].name) == ("Front Door[31m", "C-1", None)


def test_stream_carries_the_credentials_and_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = stand_in(monkeypatch, uri="rtsp://10.0.0.7:554/ch1?x=1")
    address = stream_of(CAMERA, "admin", "p@ss/word")
    assert address.location == "rtsp://admin:p%40ss%2Fword@10.0.0.7:554/ch1?x=1"
    assert address.name == "rtsp://10.0.0.7:554/ch1?x=1"
    assert asked[0][1]["http_digest"] is True
    assert asked[1] == ("RTSP", "profile_1")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("SOAP fault ter:NotAuthorized for topsecret"), CameraAccessError),
        (ValueError("topsecret"), CameraError),
    ],
)
def test_errors_hold_no_password(monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]) -> None:
    stand_in(monkeypatch, error=error)
    with pytest.raises(kind) as caught:
        stream_of(CAMERA, "admin", "topsecret")
    assert "topsecret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_is_no_stream_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, uri="http://10.0.0.7/snapshot.jpg?user=a&pwd=topsecret")
    with pytest.raises(CameraError, match="no RTSP") as caught:
        stream_of(CAMERA, "admin", "x")
    assert "topsecret" not in str(caught.value)


def test_a_network_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, error=OSError(101, "Network is unreachable"))
    with pytest.raises(CameraError, match="unreachable"):
        find_cameras(2)


def test_without_the_package_the_error_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onvif", None)
    with pytest.raises(BackendUnavailableError, match="pip install onvif-python"):
        find_cameras()
    monkeypatch.setitem(sys.modules, "onvif", types.ModuleType("onvif"))
    with pytest.raises(BackendUnavailableError, match="another package"):
        stream_of(CAMERA, "a", "b")
