"""An RTSP camera made of GStreamer, run by the system's Python as a process of its own.

    /usr/bin/python3 tests/rtsp_server.py PORT [--codec h264|mjpeg] [--size 320x240] [--fps 30] [--user U --password P]
                                          [--picture FILE.png]

Prints "ready" when it listens on 127.0.0.1; the stream is rtsp://127.0.0.1:PORT/stream.
"""

from __future__ import annotations

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

ENCODERS = {
    "h264": "openh264enc gop-size=15 ! rtph264pay name=pay0 pt=96 config-interval=1",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--picture")
    args = parser.parse_args()
    Gst.init(None)
    width, height = args.size.split("x")
    source = "videotestsrc is-live=true pattern=ball"
    if args.picture:
        source = f"filesrc location={args.picture} ! pngdec ! imagefreeze is-live=true"
    caps = f"video/x-raw,format=I420,width={width},height={height},framerate={args.fps}/1"
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {source} ! videoconvert ! videoscale ! videorate ! {caps} ! {ENCODERS[args.codec]} )")
    factory.set_shared(True)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    if args.user:
        protect(server, factory, args.user, args.password)
    server.get_mount_points().add_factory("/stream", factory)
    if not server.attach(None):
        raise SystemExit(f"cannot listen on port {args.port}")
    print("ready", flush=True)
    GLib.MainLoop().run()


def protect(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)
    server.set_auth(auth)


if __name__ == "__main__":
    main()
