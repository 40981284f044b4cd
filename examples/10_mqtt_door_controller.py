"""The controller's end of open commands: python examples/10_mqtt_door_controller.py DOOR --host broker.lan (or --help).

Replace `open_door` by what moves your lock. Everything else is what keeps a late, stored, repeated or forged command
from opening it; port it to your controller's language with all its checks. The two clocks must agree (NTP).
"""

import argparse
import json
import time
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from qcface_sdk.events.signature import verify

MAX_SECONDS = 2.0

parser = argparse.ArgumentParser(description="Listen for the open commands of one door.")
parser.add_argument("door", metavar="DOOR", help="name of the door, as in [[door]]")
parser.add_argument("--host", default="127.0.0.1", help="the broker (default: this machine)")
parser.add_argument("--port", type=int, default=1883, help="its port, usually 8883 with TLS (default: 1883)")
parser.add_argument("--username", help="login at the broker, such as controller-front")
parser.add_argument("--password-file", type=Path, metavar="FILE", help="file with the password of the login")
parser.add_argument("--tls", action="store_true", help="encrypt, and check the broker's certificate and name")
parser.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's; switches TLS on")
parser.add_argument("--prefix", default="qcface", help="mqtt.prefix of the service (default: qcface)")
parser.add_argument("--secret-file", type=Path, metavar="FILE", help="door.open.secret: take signed commands only")
args = parser.parse_args()

secret = args.secret_file.read_bytes().strip() if args.secret_file else None
topic = f"{args.prefix}/{args.door}/open"
seen: dict[str, float] = {}


def open_door(command: dict) -> None:
    print(f"open {args.door} for {command['subject']}", flush=True)


def why_not(message: MQTTMessage) -> str | dict:
    """Return the command if it may be carried out, or why not."""
    if message.retain:
        return "stored by the broker"
    command = json.loads(message.payload)
    if secret is not None:
        body = command["command"].encode()
        if not verify(secret, command["headers"], body, window=MAX_SECONDS + 1):
            return "not signed with our secret, or long ago"
        command = json.loads(body)
    left = command["expires_at"] - time.time()
    if not 0 < left <= MAX_SECONDS:
        return f"late, or the clocks differ ({left:.3f} s left)"
    for old in [key for key, moment in seen.items() if time.time() - moment > 60]:
        del seen[old]
    if command["door"] != args.door or command["id"] in seen:
        return "for another door, or carried out already"
    seen[command["id"]] = time.time()
    return command


def on_message(client: Client, data: object, message: MQTTMessage) -> None:
    try:
        command = why_not(message)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        command = f"not a command: {error!r}"
    if isinstance(command, str):
        print(f"refused: {command}", flush=True)
    else:
        open_door(command)


def on_connect(client: Client, data: object, flags: object, reason: object, properties: object) -> None:
    if reason.is_failure:
        print(f"the broker refuses us: {reason}; check --username and --password-file", flush=True)
    else:
        client.subscribe(topic, qos=1)


def on_subscribe(client: Client, data: object, number: int, reasons: list, properties: object) -> None:
    refused = any(reason.is_failure for reason in reasons)
    print(f"the broker refuses {topic}; check its rights" if refused else f"waiting for {topic}", flush=True)


client = Client(CallbackAPIVersion.VERSION2, f"controller-{args.door}", protocol=MQTTv5)
client.on_message, client.on_connect, client.on_subscribe = on_message, on_connect, on_subscribe
if args.username:
    password = args.password_file.read_text(encoding="utf-8").strip() if args.password_file else None
    client.username_pw_set(args.username, password)
if args.tls or args.ca_file:
    client.tls_set(args.ca_file)
# A clean start: what came while we were away must not open the door now.
client.connect(args.host, args.port, keepalive=15, clean_start=True)
client.loop_forever()
