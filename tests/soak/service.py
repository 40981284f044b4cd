"""Run the service while its surroundings break: python tests/soak/service.py.

A camera (motion JPEG on loopback) in front of which a public-domain portrait comes and goes, a real mosquitto, and
`qcface run` as a process that is killed with kill -9. Afterwards the event log, the events that a subscriber got and
the open commands on the broker are compared. Exit status 1 if an event was lost or stands twice, or a door was opened
without an accept or twice for one.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from broker import Broker, Listener, wait_until
from mjpeg_camera import MjpegCamera, visits
from qcface_sdk import FaceEngine, read_image
from qcface_sdk.demo.photographs import COLLINS
from qcface_sdk.events import EventKind
from service_process import ServiceProcess, enrol

SEED = 20251017


def run(folder: Path, kills: int, restarts: int, drops: int) -> dict[str, Any]:
    """Break everything in a random order that is the same every time; return what was found."""
    picture = read_image(COLLINS.locate())
    with FaceEngine() as engine:
        enrol(folder / "people.db", engine, COLLINS.subject, picture)
    camera = MjpegCamera(visits(picture)).start()
    broker = Broker(folder).start()
    listener = Listener(broker.port)
    service = ServiceProcess(
        folder,
        source=camera.url,
        cooldown=0.5,
        capture="first_delay = 0.1\nlongest_delay = 0.5\nstall_timeout = 2.0",
        open='[door.open]\nkind = "mqtt"',
        more=f"[mqtt]\nport = {broker.port}\ntimeout = 1.0",
    ).start()
    faults = ["kill"] * kills + ["broker"] * restarts + ["camera"] * drops
    random.Random(SEED).shuffle(faults)
    for number, fault in enumerate(faults, 1):
        time.sleep(0.5 + 2.0 * random.Random(number).random())
        _break(fault, service, broker, camera, listener)
        print(f"{number}/{len(faults)} {fault}", file=sys.stderr, flush=True)
    before = len(service.accepts())
    decided = wait_until(lambda: len(service.accepts()) > before, 60)
    time.sleep(2.0)
    state = service.get("/health")[1]
    code = service.end()
    if not decided:
        print(state, *service.lines, sep="\n", file=sys.stderr)
    found = _judge(service, listener) | {"decides at the end": decided, "exit status": code}
    listener.close()
    broker.stop()
    camera.stop()
    return found


def _break(fault: str, service: ServiceProcess, broker: Broker, camera: MjpegCamera, listener: Listener) -> None:
    if fault == "kill":
        service.end(signal.SIGKILL)
        service.start()
    elif fault == "broker":
        ready = listener.subscriptions
        broker.kill()
        time.sleep(0.3)
        broker.start()
        listener.wait_ready(ready + 1)
    else:
        camera.stop()
        time.sleep(0.3)
        camera.start()


def _judge(service: ServiceProcess, listener: Listener) -> dict[str, Any]:
    events = service.events()
    ids = [event.id for event in events]
    accepts = {event.id for event in events if event.accepted}
    arrived = {json.loads(one)["id"] for one in listener.payloads("qcface/events")}
    written = [event.id for event in service.written()]
    commands = [json.loads(one) for one in listener.payloads("qcface/front/open")]
    opened = [command["event_id"] for command in commands]
    return {
        "events": len(ids),
        "accepts": len(accepts),
        "opened events": sum(event.kind is EventKind.OPENED for event in events),
        "not opened events": sum(event.kind is EventKind.NOT_OPENED for event in events),
        "camera lost events": sum(event.kind is EventKind.CAMERA_LOST for event in events),
        "open commands": len(opened),
        "events lost for the file": len(set(ids) - set(written)),
        "events out of order in the file": int(written != sorted(written)),
        "events twice in the log": len(ids) - len(set(ids)),
        # A broker that is killed forgets what it had acknowledged and not passed on: its loss, not the service's.
        "events the subscriber missed": len(set(ids) - arrived),
        "commands sent twice": len(opened) - len(set(opened)),
        "opened without an accept": len(set(opened) - accepts),
    }


MUST_BE_ZERO = (
    "events lost for the file",
    "events out of order in the file",
    "events twice in the log",
    "commands sent twice",
    "opened without an accept",
)


def main() -> int:
    """Run and print what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="kill -9 of the service (default: %(default)s)")
    parser.add_argument("--broker-restarts", type=int, default=20, help="kill -9 of the broker (default: %(default)s)")
    parser.add_argument("--drops", type=int, default=50, help="drops of the camera (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), args.kills, args.broker_restarts, args.drops)
    print(json.dumps(found, indent=1))
    broken = [name for name in MUST_BE_ZERO if found[name]]
    good = not broken and found["decides at the end"] and found["exit status"] == 0 and found["accepts"] > 0
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
