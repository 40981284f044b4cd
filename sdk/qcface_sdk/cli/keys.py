"""Make, list and revoke the keys of the REST API and the console.

A key is shown once, when it is made, and stored as a hash. The file is readable by its owner alone, and a running
service notices a change at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_json_option
from qcface_sdk.cli.packages import require_server
from qcface_sdk.cli.printing import print_json, print_table
from qcface_sdk.errors import OptionError

_ROLES = ("read", "enrol", "admin")
_EXAMPLES = """\
  qcface keys add keys.json reception --role enrol
  qcface keys list keys.json
  qcface keys revoke keys.json reception

roles: read (look, verify, identify), enrol (also add people), admin (also remove people).
--json prints {"key", "name", "role"} for add, {"keys": [{"name", "role", "created"}]} for list, {"revoked"} for revoke.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("action", choices=("add", "list", "revoke"), help="what to do")
    parser.add_argument("file", type=Path, metavar="FILE", help="key file, such as keys.json")
    parser.add_argument("name", nargs="?", metavar="NAME", help="whose key it is (add, revoke)")
    parser.add_argument("--role", choices=_ROLES, default="read", help="what the key may do (default: %(default)s)")
    add_json_option(parser, "one JSON object")


def run(args: argparse.Namespace) -> ExitCode:
    """Do what `action` says."""
    require_server()
    from qcface_sdk.api.keys import KeyFile, Role

    keys = KeyFile(args.file)
    if args.action == "list":
        rows = [(key.name, key.role.name.lower(), key.created) for key in keys.all()]
        if args.json:
            print_json({"keys": [dict(zip(("name", "role", "created"), row, strict=True)) for row in rows]})
        else:
            print_table(("name", "role", "created"), rows)
        return ExitCode.OK
    if args.name is None:
        raise OptionError(f"qcface keys {args.action} needs a name: qcface keys {args.action} {args.file} NAME")
    if args.action == "revoke":
        keys.revoke(args.name)
        if args.json:
            print_json({"revoked": args.name})
        else:
            print(f"revoked {args.name}; requests with that key are refused from now on")
        return ExitCode.OK
    secret = keys.add(args.name, Role.of(args.role))
    if args.json:
        print_json({"key": secret, "name": args.name, "role": args.role})
    else:
        print(f"{secret}\nThis is the key of {args.name} ({args.role}). It is not stored and cannot be shown again.")
    return ExitCode.OK


COMMAND = Command(
    name="keys",
    summary="make, list and revoke API keys",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
