"""Run doors from a configuration file: cameras, decisions, events, open commands, metrics, console.

Stops in order on SIGTERM or Ctrl-C. On SIGHUP the file is read again: galleries, model, thresholds and doors change
without a restart, and a file with a mistake changes nothing. Passwords do not stand in the file but beside it.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode

_EXAMPLES = """\
  qcface run --config door.toml --check      is the file right, are model and secrets there?
  qcface run --config door.toml
  kill -HUP PID                              read the file and the galleries again

--check changes nothing, opens no gallery and prints a line for each part. A gallery that is not there is said to be
made later: if it should be there, its path is wrong.
The keys of the file are listed in sdk/docs/service.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML file that says what to run")
    parser.add_argument("--check", action="store_true", help="check the file and what it names, then end")


def run(args: argparse.Namespace) -> ExitCode:
    """Check, or run until told to stop."""
    # Here and not above: `qcface --help` should not load what a service needs.
    from qcface_sdk.service import Service, load_config
    from qcface_sdk.service.check import check_parts
    from qcface_sdk.service.logs import configure_logs

    config = load_config(args.config)
    configure_logs(config.service.log_format, config.service.log_level)
    if args.check:
        for line in check_parts(config):
            print(line)
        return ExitCode.OK
    stop, again = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: again.set())
    with Service(config) as service:
        print(f"running {', '.join(service.doors)}; Ctrl-C stops", flush=True)
        if service.console_url is not None:
            print(f"console at {service.console_url}", flush=True)
        while not stop.wait(0.2):
            if again.is_set():
                again.clear()
                service.reload_file(args.config)
            if service.config.service.exit_at_end and service.wait(0):
                break
    return ExitCode.OK


COMMAND = Command(
    name="run",
    summary="run doors with cameras from a configuration file",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
