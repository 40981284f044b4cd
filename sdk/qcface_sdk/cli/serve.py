"""Serve a gallery over REST, with a web console for enrolment and for looking.

Reaches nobody but this machine unless --host says otherwise, and then only with TLS. There is no default key: make
one with qcface keys. With cameras and doors, use qcface run instead; it serves the same API.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_engine_options, open_engine, positive_int
from qcface_sdk.cli.packages import require_server
from qcface_sdk.errors import OptionError
from qcface_sdk.gallery import Gallery

_EXAMPLES = """\
  qcface keys add keys.json me --role admin
  qcface serve staff.db --keys keys.json
  qcface serve staff.db --keys keys.json --host 0.0.0.0 --tls-cert door.pem --tls-key door.key --allow-host door.lan

Then open the address it prints in a browser. GET /openapi.json describes the API. Ctrl-C stops it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("gallery", type=Path, metavar="GALLERY", help="gallery file; made if it is not there")
    parser.add_argument("--keys", type=Path, required=True, metavar="FILE", help="key file made by qcface keys")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8470, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="further host name in requests; repeatable"
    )
    parser.add_argument("--tls-cert", type=Path, metavar="PEM", help="certificate chain")
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="private key of the certificate")
    parser.add_argument("--behind-proxy", action="store_true", help="a proxy on this machine terminates TLS")
    parser.add_argument(
        "--concurrent", type=positive_int, default=4, metavar="N", help="pictures at a time (default: %(default)s)"
    )
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Serve until told to stop."""
    require_server()
    from qcface_sdk.api.server import ApiServer
    from qcface_sdk.api.settings import ApiSettings, TlsFiles
    from qcface_sdk.api.state import ApiState

    if (args.tls_cert is None) != (args.tls_key is None):
        raise OptionError("TLS needs both --tls-cert and --tls-key")
    settings = ApiSettings(
        keys=args.keys,
        host=args.host,
        port=args.port,
        hosts=tuple(args.allow_host),
        tls=TlsFiles(args.tls_cert, args.tls_key) if args.tls_cert else None,
        behind_proxy=args.behind_proxy,
        concurrent=args.concurrent,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with open_engine(args) as engine, Gallery.open(args.gallery, engine=engine) as gallery:
        server = ApiServer(ApiState(engine, gallery), settings)
        server.start()
        print(f"serving {args.gallery} at {server.url} (Ctrl-C stops)", flush=True)
        try:
            while not stop.wait(0.5):
                if not server.is_alive():
                    return ExitCode.INTERNAL
        finally:
            server.stop()
    return ExitCode.OK


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, got {text!r}")
    return int(text)


COMMAND = Command(
    name="serve",
    summary="serve a gallery over REST with a web console",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
