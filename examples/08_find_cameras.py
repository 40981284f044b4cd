"""Find ONVIF cameras in this network and their streams: python examples/08_find_cameras.py [USER PASSWORD]."""

import getpass
import sys

from qcface_sdk.camera import find_cameras, stream_of

cameras = find_cameras(seconds=3)
print(f"{len(cameras)} camera(s) answered")
if cameras:
    user, password = sys.argv[1:3] if len(sys.argv) > 2 else (input("user: "), getpass.getpass())
    for camera in cameras:
        print(camera.host, camera.name or "", stream_of(camera, user, password).name)
