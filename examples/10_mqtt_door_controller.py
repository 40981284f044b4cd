"""The controller's end of open commands: python examples/10_mqtt_door_controller.py DOOR [HOST [PORT [SECRET_FILE]]].

Replace `open_door` by what moves your lock. Everything else is what keeps a late, stored, repeated or forged command
from opening it; port it to your controller's language with all its checks. The two clocks must agree (NTP).
"""

import json
import sys
import time
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from qcface_sdk.events.signature import verify

MAX_SECONDS = 2.0
door = sys.argv[1]
host = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
port = int(sys.argv[3]) if len(sys.argv) > 3 else 1883
secret = Path(sys.argv[4]).read_bytes().strip() if len(sys.argv) > 4 else None
seen: dict[str, float] = {}


def open_door(command: dict) -> None:
    print(f"open {door} for {command['subject']}", flush=True)


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
    if command["door"] != door or command["id"] in seen:
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


client = Client(CallbackAPIVersion.VERSION2, f"controller-{door}", protocol=MQTTv5)
client.on_message = on_message
client.on_connect = lambda client, *_: client.subscribe(f"qcface/{door}/open", qos=1)
client.on_subscribe = lambda *_: print(f"waiting for qcface/{door}/open", flush=True)
# A clean start: what came while we were away must not open the door now.
client.connect(host, port, keepalive=15, clean_start=True)
client.loop_forever()
