"""Look at, check, sign, pack and compare model bundles. Without an action: inspect the built-in one.

Every file is checked against its SHA-256 whenever a bundle is read. A signature says who made it: the maker signs with
a private key, and whoever installs names the public key.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from qcface_sdk.bundle import Bundle
from qcface_sdk.bundle_diff import diff_bundles
from qcface_sdk.cli.bundle_printing import print_bundle, print_changes, signer
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_json_option
from qcface_sdk.cli.printing import plural, print_json
from qcface_sdk.errors import OptionError
from qcface_sdk.signatures import generate_key, key_id, private_pem, public_hex, public_pem, read_private_key

_EXAMPLES = """\
  qcface models                                             the built-in bundle
  qcface models verify my-bundle/ --trusted-key maker.pub.pem
  qcface models keygen maker.pem maker.pub.pem
  qcface models sign my-bundle/ --key maker.pem
  qcface models sign --key maker.pem --output my-bundle/    the built-in bundle, signed by you
  qcface models pack my-bundle/ my-bundle.qcface
  qcface models diff old.qcface new.qcface

inspect --json prints {"source", "verified_files", "signed_by", "manifest"}, diff --json {"changes": [{"path", "before",
"after"}]}. Exit status 4 if a bundle is missing, altered, malformed or not signed as asked; diff ends with 1 if the
bundles differ.
"""
_BUNDLE_HELP = "folder or .qcface file (default: the built-in)"

Action = Callable[[argparse.Namespace], ExitCode]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions with their arguments."""
    parser.set_defaults(action=_inspect, bundle=None, json=False, trusted_key=None)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")

    def action(name: str, run: Action, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        sub.set_defaults(action=run)
        # Also `qcface models` takes it; here its absence must not undo that.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="show an error's traceback")
        return sub

    inspect = action("inspect", _inspect, "show what a bundle holds and what was measured of it")
    inspect.add_argument("bundle", nargs="?", metavar="BUNDLE", help=_BUNDLE_HELP)
    add_json_option(inspect, "one JSON object")
    verify = action("verify", _verify, "check every file against its SHA-256, and the signature")
    verify.add_argument("bundle", nargs="?", metavar="BUNDLE", help=_BUNDLE_HELP)
    verify.add_argument(
        "--trusted-key", action="append", metavar="KEY", help="public key (PEM file or 64 hex digits); may be repeated"
    )
    _add_signing_actions(action)
    pack = action("pack", _pack, "write a bundle as one .qcface file")
    pack.add_argument("bundle", metavar="BUNDLE", help="folder or .qcface file")
    pack.add_argument("target", type=Path, metavar="FILE", help="file to write")
    unpack = action("unpack", _unpack, "write a bundle as a folder")
    unpack.add_argument("bundle", metavar="BUNDLE", help="folder or .qcface file")
    unpack.add_argument("target", type=Path, metavar="FOLDER", help="folder to write")
    for writer in (pack, unpack):
        writer.add_argument("--overwrite", action="store_true", help="replace what is there")
    diff = action("diff", _diff, "show what differs between two bundles")
    diff.add_argument("bundle", metavar="FIRST", help="folder or .qcface file")
    diff.add_argument("second", metavar="SECOND", help="folder or .qcface file")
    add_json_option(diff, "one JSON object")


def _add_signing_actions(action: Callable[[str, Action, str], argparse.ArgumentParser]) -> None:
    sign = action("sign", _sign, "sign a bundle, in place or to another file")
    sign.add_argument("bundle", nargs="?", metavar="BUNDLE", help=f"{_BUNDLE_HELP}; that one needs --output")
    sign.add_argument("--key", required=True, metavar="FILE", help="private key (PEM)")
    sign.add_argument("--output", type=Path, metavar="FILE", help="write there instead: a folder, or a .qcface file")
    keygen = action("keygen", _keygen, "make a key pair to sign with")
    keygen.add_argument("private", type=Path, metavar="PRIVATE", help="file for the private key, readable by you alone")
    keygen.add_argument("public", type=Path, metavar="PUBLIC", help="file for the public key")
    for parser in (sign, keygen):
        parser.add_argument("--password", action="store_true", help="ask for the private key's password")


def run(args: argparse.Namespace) -> ExitCode:
    """Do the action."""
    action: Action = args.action
    return action(args)


def _inspect(args: argparse.Namespace) -> ExitCode:
    bundle = Bundle.load(args.bundle)
    if args.json:
        print_json(
            {
                "source": bundle.source,
                "verified_files": sorted(bundle.files),
                "signed_by": None if bundle.signature is None else bundle.signature.key,
                "manifest": json.loads(bundle.manifest_bytes),
            }
        )
    else:
        print_bundle(bundle)
    return ExitCode.OK


def _verify(args: argparse.Namespace) -> ExitCode:
    bundle = Bundle.load(args.bundle, trusted_keys=args.trusted_key)
    trust = ", a trusted one" if args.trusted_key else ""
    print(
        f"{bundle.source}: {plural(len(bundle.files), 'file')} verified by SHA-256, contract {bundle.contract}, "
        f"signed by {signer(bundle)}{trust}"
    )
    return ExitCode.OK


def _sign(args: argparse.Namespace) -> ExitCode:
    if args.bundle is None and args.output is None:
        raise OptionError("the built-in bundle is not changed in place; name a file or folder with --output")
    key = read_private_key(args.key, _password(args, confirm=False))
    bundle = Bundle.load(args.bundle).signed(key)
    target: Path = args.output or Path(args.bundle)
    # A folder stays a folder, a file a file; a new place is what its name says.
    as_folder = target.is_dir() or (not target.exists() and target.suffix != ".qcface")
    save = bundle.save_folder if as_folder else bundle.save_file
    save(target, overwrite=args.output is None)
    print(f"wrote {target}, signed by key {key_id(public_hex(key))}")
    return ExitCode.OK


def _keygen(args: argparse.Namespace) -> ExitCode:
    key = generate_key()
    _write_new(args.private, private_pem(key, _password(args, confirm=True)), 0o600)
    _write_new(args.public, public_pem(key), 0o644)
    print(f"wrote {args.private} (keep it secret) and {args.public}, key {key_id(public_hex(key))}: {public_hex(key)}")
    return ExitCode.OK


def _pack(args: argparse.Namespace) -> ExitCode:
    Bundle.load(args.bundle).save_file(args.target, overwrite=args.overwrite)
    print(f"wrote {args.target}")
    return ExitCode.OK


def _unpack(args: argparse.Namespace) -> ExitCode:
    Bundle.load(args.bundle).save_folder(args.target, overwrite=args.overwrite)
    print(f"wrote {args.target}")
    return ExitCode.OK


def _diff(args: argparse.Namespace) -> ExitCode:
    changes = diff_bundles(Bundle.load(args.bundle), Bundle.load(args.second))
    if args.json:
        print_json({"changes": [asdict(change) for change in changes]})
    elif changes:
        print_changes(changes)
    else:
        print("the bundles are the same")
    return ExitCode.REJECT if changes else ExitCode.OK


def _password(args: argparse.Namespace, *, confirm: bool) -> bytes | None:
    if not args.password:
        return None
    if not sys.stdin.isatty():
        # For scripts: the first line of standard input.
        return sys.stdin.readline().rstrip("\n").encode()
    password = getpass.getpass("password of the private key: ")
    if confirm and getpass.getpass("once more: ") != password:
        raise OptionError("the two passwords must be the same, got different ones; start again")
    return password.encode()


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a key to a file that is not there yet; nothing must overwrite a key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise OptionError(f"{path} exists, and a key is never overwritten; choose another place") from error
    with open(descriptor, "wb") as file:
        file.write(data)


COMMAND = Command(
    name="models",
    summary="inspect, verify, sign, pack or compare model bundles",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
