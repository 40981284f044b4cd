"""Actions that change a gallery or keep it safe: remove, expire, terms, keys, backup, restore."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import open_existing, open_place
from qcface_sdk.cli.gallery_actions.arguments import (
    add_gallery,
    add_key,
    add_place,
    add_subject,
    mebibytes,
    moment,
    when,
)
from qcface_sdk.cli.options import add_json_option
from qcface_sdk.cli.printing import plural, print_json, print_warning
from qcface_sdk.cli.progress import Progress
from qcface_sdk.errors import GalleryStorageError
from qcface_sdk.gallery import Removal, restore
from qcface_sdk.gallery.master import KEY_BYTES, new_key_text, write_key

_STILL_HELD = "copies of the keyring made before still hold that key: replace them (qcface gallery backup --keys)"
_STILL_ON_THE_SERVER = (
    "the server's disks hold the row until it compacts them, and its backups as long as they are kept"
)


def _add_remove(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_subject(parser)
    parser.add_argument("--receipt", type=Path, metavar="FILE", help="write the receipt as JSON into a new file")
    add_json_option(parser, "one JSON object")


def _remove(args: argparse.Namespace) -> ExitCode:
    with open_place(args.gallery, key=args.key, read_only=False) as gallery:
        receipt = gallery.remove(args.subject)
    if args.receipt is not None:
        with args.receipt.open("x", encoding="utf-8") as file:
            json.dump(receipt.to_dict(), file, indent=2)
    if args.json:
        print_json({"path": str(args.gallery), "removed": receipt.to_dict()})
    else:
        print(f"removed {receipt.subject} ({plural(receipt.templates, 'template')}) from {args.gallery}")
        shredded = f", shredded key {receipt.key}" if receipt.key else ""
        print(f"receipt: {when(receipt.at)}, gallery {receipt.gallery}{shredded}")
        print(_STILL_HELD if receipt.key else _STILL_ON_THE_SERVER)
    return ExitCode.OK


def _add_expire(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say who would be removed")
    add_json_option(parser, "one JSON object")


def _expire(args: argparse.Namespace) -> ExitCode:
    with open_place(args.gallery, key=args.key, read_only=args.dry_run) as gallery:
        gone = gallery.expire(dry_run=args.dry_run)
    names = [item.subject if isinstance(item, Removal) else item for item in gone]
    if args.json:
        receipts = [item.to_dict() for item in gone if isinstance(item, Removal)]
        print_json({"path": str(args.gallery), "expired": names, "receipts": receipts, "removed": not args.dry_run})
    else:
        verb = "would remove" if args.dry_run else "removed"
        print(f"{verb} {plural(len(names), 'subject')}{': ' if names else ''}{', '.join(names)}")
    return ExitCode.OK


def _add_terms(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_subject(parser)
    parser.add_argument("--consent", metavar="TEXT", help="what the person agreed to, such as a form's number")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--expires", type=moment, metavar="WHEN", help="2027-03-31, or a time with offset")
    end.add_argument("--forever", action="store_true", help="take the end away")
    add_json_option(parser, "one JSON object")


def _terms(args: argparse.Namespace) -> ExitCode:
    with open_place(args.gallery, key=args.key, read_only=False) as gallery:
        gallery.set_terms(args.subject, consent=args.consent, expires=args.expires, forever=args.forever)
        (person,) = (person for person in gallery.people() if person.subject == args.subject)
    if args.json:
        print_json(person.to_dict())
    else:
        print(f"{person.subject}: consent {person.consent or 'none noted'}, expires {when(person.expires)}")
    return ExitCode.OK


def _add_new_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="write it into a new file for the owner alone")
    add_json_option(parser, "one JSON object")


def _new_key(args: argparse.Namespace) -> ExitCode:
    if args.output is None:
        text = new_key_text()
        print_json({"key": text}) if args.json else print(text)
        return ExitCode.OK
    try:
        write_key(str(args.output), os.urandom(KEY_BYTES))
    except FileExistsError:
        raise GalleryStorageError(f"{args.output} is there already; a key is never overwritten") from None
    print_json({"file": str(args.output)}) if args.json else print(f"wrote a new key into {args.output}")
    return ExitCode.OK


def _add_rotate(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument(
        "--new-key", metavar="SOURCE", help="a key file (made if it does not exist) or env:NAME (default: a new random "
        "key in the present key file)"
    )  # fmt: skip
    add_json_option(parser, "one JSON object")


def _rotate(args: argparse.Namespace) -> ExitCode:
    with (
        open_existing(args.gallery, key=args.key, read_only=False) as gallery,
        Progress(len(gallery), "keys") as bar,
    ):
        count = gallery.rotate_key(args.new_key, progress=bar.advance)
    if args.json:
        print_json({"path": str(args.gallery), "keys": count})
    else:
        print(f"wrapped {plural(count, 'key')} of {args.gallery} with the new master key")
        print("copies of the keyring made before need the old one: renew them (qcface gallery backup --keys)")
    return ExitCode.OK


def _add_backup(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument("destination", type=Path, metavar="FILE", help="new file for the copy, which holds no keys")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="also renew the one copy of the wrapped keys here")
    add_json_option(parser, "one JSON object")


def _backup(args: argparse.Namespace) -> ExitCode:
    with open_existing(args.gallery, key=args.key, read_only=False) as gallery:
        with Progress(mebibytes(args.gallery), "MB") as bar:
            subjects = gallery.backup(args.destination, progress=bar.advance)
        keys = None if args.keys is None else gallery.backup_keys(args.keys)
    if args.json:
        print_json({"path": str(args.gallery), "file": str(args.destination), "subjects": subjects, "keys": keys})
        return ExitCode.OK
    print(f"wrote {plural(subjects, 'subject')} into {args.destination}")
    if keys is None:
        print_warning("the copy holds no keys; without GALLERY.keyring and the master key nobody can read it")
    else:
        print(f"wrote {plural(keys, 'wrapped key')} into {args.keys}; keep it apart from the backups")
    return ExitCode.OK


def _add_restore(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", type=Path, metavar="BACKUP", help="file written by qcface gallery backup")
    parser.add_argument("gallery", type=Path, metavar="GALLERY", help="where the gallery is to be")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="copy of the keyring (default: GALLERY.keyring)")
    parser.add_argument("--replace", action="store_true", help="replace a gallery that is there; close it first")
    add_key(parser)
    add_json_option(parser, "one JSON object")


def _restore(args: argparse.Namespace) -> ExitCode:
    with Progress(mebibytes(args.backup), "MB") as bar:
        done = restore(
            args.backup, args.gallery, key=args.key, keyring=args.keys, replace=args.replace, progress=bar.advance
        )
    if args.json:
        print_json({"path": str(args.gallery), **done.to_dict()})
    else:
        print(f"restored {plural(done.subjects, 'subject')} into {args.gallery}")
        if done.left_out:
            print(f"left out {', '.join(done.left_out)}: removed since, so their keys are gone")
    return ExitCode.OK


ACTIONS = (
    Command(
        "remove",
        "forget a person, with a receipt",
        "Delete a person's templates and kept pictures, and overwrite the person's key, which makes the copies in "
        "backups\nunreadable too. Prints a receipt; both are on disk by then.",
        "  qcface gallery remove staff.db ann-lee --receipt ann-lee-removed.json\n",
        _add_remove,
        _remove,
    ),
    Command(
        "expire",
        "forget everybody whose time is over",
        "Remove everybody whose retention has ended (see terms). They are not recognised from that moment on anyway;\n"
        "run this daily, from cron for example.",
        "  qcface gallery expire staff.db --dry-run\n  qcface gallery expire staff.db --json >> expired.log\n",
        _add_expire,
        _expire,
    ),
    Command(
        "terms",
        "note consent and retention of a person",
        "Note what a person agreed to, and until when the person is to be recognised.",
        '  qcface gallery terms staff.db ann-lee --consent "form 17 of 2026-11-02" --expires 2027-03-31\n',
        _add_terms,
        _terms,
    ),
    Command(
        "new-key",
        "make a master key",
        "Make a random master key, for --key or $QCFACE_GALLERY_KEY. Keep a copy: without it the gallery is lost.",
        "  qcface gallery new-key --output /etc/qcface/staff.key\n",
        _add_new_key,
        _new_key,
    ),
    Command(
        "rotate-key",
        "change the master key",
        "Wrap every person's key with a new master key. Templates are not touched, so it takes moments;\n"
        "other processes that take the key from the same file go on by themselves.",
        "  qcface gallery rotate-key staff.db\n  qcface gallery rotate-key staff.db --new-key /etc/qcface/staff.key\n",
        _add_rotate,
        _rotate,
    ),
    Command(
        "backup",
        "copy a gallery while it is in use",
        "Copy the gallery without its keys, so that who is removed later cannot be read in the copy. --keys renews\n"
        "a copy of the wrapped keys: keep exactly one, elsewhere, and renew it after removals.",
        "  qcface gallery backup staff.db /backups/staff-monday.db --keys /safe/staff.keyring\n",
        _add_backup,
        _backup,
    ),
    Command(
        "restore",
        "bring a gallery back from a backup",
        "Make a gallery of a backup and the wrapped keys. People removed since the backup have no key any more\n"
        "and are left out.",
        "  qcface gallery restore /backups/staff-monday.db staff.db --keys /safe/staff.keyring\n",
        _add_restore,
        _restore,
    ),
)
