"""Actions that move people: export, import, migrate, re-enroll."""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import open_existing
from qcface_sdk.cli.gallery_actions.arguments import add_gallery, add_gallery_and_json, add_passphrase, passphrase_of
from qcface_sdk.cli.options import add_engine_options, add_json_option, open_engine
from qcface_sdk.cli.printing import plural, print_json
from qcface_sdk.cli.progress import Progress
from qcface_sdk.gallery import EmbeddedGallery, MilvusGallery, migrate, reenroll, sync


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument("destination", type=Path, metavar="FILE", help="new file, encrypted with a passphrase")
    parser.add_argument("--subject", action="append", metavar="SUBJECT", help="only this person; may be repeated")
    add_passphrase(parser)
    add_json_option(parser, "one JSON object")


def _export(args: argparse.Namespace) -> ExitCode:
    passphrase = passphrase_of(args)
    with (
        open_existing(args.gallery, key=args.key, read_only=False) as gallery,
        Progress(len(args.subject or ()) or len(gallery), "people") as bar,
    ):
        count = gallery.export(args.destination, passphrase, subjects=args.subject, progress=bar.advance)
    if args.json:
        print_json({"path": str(args.gallery), "file": str(args.destination), "people": count})
    else:
        print(f"wrote {count} people of {args.gallery} into {args.destination}")
    return ExitCode.OK


def _add_import(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument("source", type=Path, metavar="FILE", help="file written by qcface gallery export")
    parser.add_argument(
        "--conflict",
        choices=("refuse", "skip", "add", "replace"),
        default="refuse",
        help="what to do with ids that are enrolled already (default: %(default)s)",
    )
    add_passphrase(parser)
    add_json_option(parser, "one JSON object")


def _import(args: argparse.Namespace) -> ExitCode:
    passphrase = passphrase_of(args)
    with EmbeddedGallery.open_file(args.gallery, key=args.key) as gallery, Progress(None, "people") as bar:
        done = gallery.import_from(args.source, passphrase, conflict=args.conflict, progress=bar.advance)
    if args.json:
        print_json({"path": str(args.gallery), **done.to_dict()})
    else:
        known = len(done.extended) + len(done.replaced) + len(done.skipped)
        print(f"added {len(done.added)} people and {plural(done.templates, 'template')} to {args.gallery}")
        print(f"{known} were there already ({args.conflict})")
    return ExitCode.OK


def _migrate(args: argparse.Namespace) -> ExitCode:
    with Progress(None, "people") as bar:
        count = migrate(args.gallery, key=args.key, progress=bar.advance)
    if args.json:
        print_json({"path": str(args.gallery), "subjects": count})
    else:
        print(
            f"encrypted {plural(count, 'subject')} in {args.gallery}; old backups are still in plain form: delete them"
        )
    return ExitCode.OK


def _add_reenroll(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument("destination", type=Path, metavar="NEW", help="file of the new gallery")
    parser.add_argument("--new-key", metavar="SOURCE", help="master key of the new gallery (default: NEW.key)")
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def _reenroll(args: argparse.Namespace) -> ExitCode:
    with (
        open_engine(args) as engine,
        open_existing(args.gallery, key=args.key) as gallery,
        Progress(len(gallery), "people") as bar,
    ):
        done = reenroll(gallery, engine, args.destination, key=args.new_key, progress=bar.advance)
    if args.json:
        print_json({"path": str(args.destination), "contract": engine.contract, **done.to_dict()})
    else:
        print(f"enrolled {plural(len(done.subjects), 'subject')} again in {args.destination}")
        if done.without_crops:
            print(f"no picture was kept of {', '.join(done.without_crops)}: enrol them at a camera")
    # Not all of them is not done: a script must not throw the old gallery away then.
    return ExitCode.RETRY if done.without_crops else ExitCode.OK


def _add_sync(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument("central", metavar="ADDRESS", help="milvus://host:port/name; its token in $QCFACE_MILVUS_TOKEN")
    parser.add_argument("--tls", action="store_true", help="connect by TLS")
    parser.add_argument("--allow-empty", action="store_true", help="let an empty central gallery empty the door's")
    add_json_option(parser, "one JSON object")


def _sync(args: argparse.Namespace) -> ExitCode:
    with (
        EmbeddedGallery.open_file(args.gallery, key=args.key) as door,
        MilvusGallery.connect(args.central, door.contract, read_only=True, tls=args.tls) as central,
        Progress(None, "people") as bar,
    ):
        done = sync(door, central, allow_empty=args.allow_empty, progress=bar.advance)
    if args.json:
        print_json({"path": str(args.gallery), "central": args.central, **done.to_dict()})
    else:
        print(
            f"{args.gallery}: {len(done.added)} added, {len(done.changed)} changed, {len(done.removed)} removed, "
            f"{len(done.kept_local)} of this door's own kept"
        )
    return ExitCode.OK


ACTIONS = (
    Command(
        "export",
        "write people into an encrypted file",
        "Write people, with consent and retention, into one file under a passphrase of at least 12 characters, for "
        "another\nmachine. Unlike a backup it opens without the keyring, and who is removed later can be read in it.",
        "  qcface gallery export staff.db move.qcfx --passphrase-file secret.txt\n",
        _add_export,
        _export,
    ),
    Command(
        "import",
        "read people from an export",
        "Read people from an export: all of them, or none after an error. The gallery is made if it does not exist.",
        "  qcface gallery import site-b.db move.qcfx --passphrase-file secret.txt --conflict skip\n",
        _add_import,
        _import,
    ),
    Command(
        "migrate",
        "encrypt a gallery of an older version",
        "Encrypt a gallery of schema 1 in its place. Close it in every other program first.",
        "  qcface gallery migrate staff.db\n",
        add_gallery_and_json,
        _migrate,
    ),
    Command(
        "re-enroll",
        "make a gallery for another model",
        "Embed the kept pictures (qcface enroll --keep-crops) with another model, into a new gallery. Exit\n"
        "status 3 if there are people without a kept picture.",
        "  qcface gallery re-enroll staff.db staff-new.db --model new-model.qcface\n",
        _add_reenroll,
        _reenroll,
    ),
    Command(
        "sync",
        "make a door's gallery like the central one",
        "Fetch what the central gallery has and the door has not, and remove who is not there any more. The centre\n"
        "wins; people enrolled at the door whom it does not know stay. The door goes on meanwhile; run it often.",
        "  qcface gallery sync door.db milvus://10.0.0.5:19530/people\n",
        _add_sync,
        _sync,
    ),
)
