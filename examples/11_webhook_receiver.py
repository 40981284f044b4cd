"""Receive signed events over HTTP: python examples/11_webhook_receiver.py SECRET_FILE [PORT].

Put it behind TLS. Answer 2xx only when the event is safe with you: until then it is sent again.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from qcface_sdk.events.signature import WINDOW_SECONDS, verify

secret = Path(sys.argv[1]).read_bytes().strip()
port = int(sys.argv[2]) if len(sys.argv) > 2 else 8099
seen: dict[str, None] = {}


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 100_000))
        if not verify(secret, self.headers, body, window=WINDOW_SECONDS):
            self.send_response(401)
        else:
            event = json.loads(body)
            if event["id"] not in seen:  # sent at least once, so perhaps twice
                seen[event["id"]] = None
                print(f"{event['time']} {event['door']}: {event['kind']} {event['outcome'] or ''}", flush=True)
            self.send_response(204)
        self.end_headers()


server = HTTPServer(("127.0.0.1", port), Receiver)
print(f"listening on {server.server_address[1]}", flush=True)
server.serve_forever()
