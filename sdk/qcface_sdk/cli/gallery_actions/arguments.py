"""The arguments that the actions of `qcface gallery` share."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from qcface_sdk.cli.galleries import place
from qcface_sdk.cli.options import add_json_option
from qcface_sdk.errors import OptionError

PASSPHRASE_VARIABLE = "QCFACE_PASSPHRASE"


def add_gallery(parser: argparse.ArgumentParser) -> None:
    """Declare the gallery and where its master key is."""
    parser.add_argument("gallery", type=Path, metavar="GALLERY", help="gallery file, see qcface enroll")
    add_key(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Declare a gallery that may be in a vector server too, and where its master key is."""
    parser.add_argument("gallery", type=place, metavar="GALLERY", help="gallery file, or milvus://host:port/name")
    add_key(parser)


def add_gallery_and_json(parser: argparse.ArgumentParser) -> None:
    """Declare the gallery and `--json`, for an action that takes nothing else."""
    add_gallery(parser)
    add_json_option(parser, "one JSON object")


def add_key(parser: argparse.ArgumentParser) -> None:
    """Declare where the master key is."""
    parser.add_argument(
        "--key",
        metavar="SOURCE",
        help="master key: a key file, or env:NAME (default: $QCFACE_GALLERY_KEY if set, else GALLERY.key)",
    )


def add_subject(parser: argparse.ArgumentParser) -> None:
    """Declare one person."""
    parser.add_argument("subject", metavar="SUBJECT", help="id of the person")


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Declare where the passphrase is read from; never the command line, which others can see."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help=f"first line is the passphrase (default: ${PASSPHRASE_VARIABLE}, else asked for)",
    )


def passphrase_of(args: argparse.Namespace) -> str:
    """Return the passphrase, from a file, the environment or the terminal."""
    if args.passphrase_file is not None:
        lines = str(args.passphrase_file.read_text(encoding="utf-8")).splitlines()
        return lines[0] if lines else ""
    if os.environ.get(PASSPHRASE_VARIABLE):
        return os.environ[PASSPHRASE_VARIABLE]
    if not sys.stdin.isatty():
        raise OptionError(f"give a passphrase with --passphrase-file or in ${PASSPHRASE_VARIABLE}")
    return getpass.getpass("passphrase: ")


def mebibytes(path: Path) -> int:
    """Return the size of a file in MiB, rounded up; 0 where there is none."""
    return -(-path.stat().st_size // 2**20) if path.exists() else 0


def when(seconds: float | None) -> str:
    """Return a time as text in UTC, a dash for none."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"


def moment(text: str) -> float:
    """Parse a date (its end, in UTC), or a date and time with offset, into unix seconds."""
    try:
        if len(text) == 10:
            return datetime.fromisoformat(f"{text}T23:59:59+00:00").timestamp()
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
        if value.tzinfo is None:
            raise ValueError
        return value.timestamp()
    except ValueError:
        wanted = "must be a date (2027-03-31) or a time with offset (2027-03-31T18:00+01:00)"
        raise argparse.ArgumentTypeError(f"{wanted}, got {text!r}") from None
