"""Actions that look into a gallery: list, show, audit, stats, check, review."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import open_existing, open_place
from qcface_sdk.cli.gallery_actions import review_page, subject_page
from qcface_sdk.cli.gallery_actions.arguments import add_gallery, add_gallery_and_json, add_place, add_subject, when
from qcface_sdk.cli.options import (
    add_engine_options,
    add_json_option,
    add_report_option,
    open_engine,
    positive_int,
)
from qcface_sdk.cli.printing import number_or_dash, plural, print_json, print_table
from qcface_sdk.cli.progress import Progress
from qcface_sdk.gallery import review

_SHOWN = 20
"""Pairs printed; the page and --json have more."""


def _add_list(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    add_json_option(parser, "one JSON object")


def _list(args: argparse.Namespace) -> ExitCode:
    with open_place(args.gallery, key=args.key) as gallery:
        contract = gallery.contract
        people = gallery.people()
    if args.json:
        print_json({"gallery": str(args.gallery), "contract": contract, "subjects": [p.to_dict() for p in people]})
        return ExitCode.OK
    rows = [(p.subject, str(p.templates), when(p.created), when(p.expires), p.origin) for p in people]
    print_table(("subject", "templates", "enrolled", "expires", "origin"), rows, right=(1,))
    print(f"{plural(len(rows), 'subject')}, contract {contract or 'none yet'}")
    return ExitCode.OK


def _add_show(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    add_subject(parser)
    parser.add_argument("--vectors", action="store_true", help="include the templates' numbers (biometric data)")
    parser.add_argument("--crops", action="store_true", help="include the kept pictures (biometric data)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report as JSON into a new file")
    add_report_option(parser, "the report for the person, with the kept pictures if --crops is given")
    add_json_option(parser, "one JSON object")


def _show(args: argparse.Namespace) -> ExitCode:
    # Opened to write: a report is noted in the audit log.
    with open_existing(args.gallery, key=args.key, read_only=False) as gallery:
        report = gallery.report(args.subject, vectors=args.vectors, crops=args.crops)
    document = report.to_dict()
    if args.output is not None:
        with args.output.open("x", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
    if args.report is not None:
        args.report.write_text(subject_page.render(report, str(args.gallery)), encoding="utf-8")
    if args.json:
        print_json(document)
        return ExitCode.OK
    print(f"{report.subject}: enrolled {when(report.created)}, origin {report.origin}, expires {when(report.expires)}")
    print(f"consent: {report.consent or 'none noted'} ({when(report.consented)})")
    rows = [
        (t["uid"], when(t["created"]), str(t["pictures"]), number_or_dash(t["quality"], 0), str(t["kept_crops"]))
        for t in report.templates
    ]
    print_table(("template", "created", "pictures", "quality", "kept crops"), rows, right=(2, 3, 4))
    return ExitCode.OK


def _add_audit(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument("--subject", metavar="SUBJECT", help="only this person's lines")
    parser.add_argument("--last", type=positive_int, default=50, metavar="N", help="lines (default: %(default)s)")
    add_json_option(parser, "one JSON object")


def _audit(args: argparse.Namespace) -> ExitCode:
    with open_existing(args.gallery, key=args.key) as gallery:
        entries = gallery.audit(args.subject, last=args.last)
    if args.json:
        print_json({"gallery": str(args.gallery), "entries": [entry.to_dict() for entry in entries]})
        return ExitCode.OK
    rows = [(when(e.at), e.action, e.subject or "-", json.dumps(e.detail, sort_keys=True)) for e in entries]
    print_table(("time", "action", "subject", "detail"), rows)
    return ExitCode.OK


def _stats(args: argparse.Namespace) -> ExitCode:
    with open_existing(args.gallery, key=args.key) as gallery:
        figures = gallery.statistics().to_dict()
    if args.json:
        print_json({"path": str(args.gallery), **figures})
    else:
        figures["created"] = when(figures["created"])
        print_table(("figure", "value"), [(name.replace("_", " "), str(value)) for name, value in figures.items()])
    return ExitCode.OK


def _check(args: argparse.Namespace) -> ExitCode:
    with (
        open_existing(args.gallery, key=args.key) as gallery,
        Progress(gallery.statistics().templates, "templates") as bar,
    ):
        count = gallery.check(progress=bar.advance)
    if args.json:
        print_json({"gallery": str(args.gallery), "templates": count, "whole": True})
    else:
        print(f"{args.gallery} is whole: {plural(count, 'template')} unsealed, every page and index in order")
    return ExitCode.OK


def _add_review(parser: argparse.ArgumentParser) -> None:
    add_gallery(parser)
    parser.add_argument(
        "--no-doubles", action="store_true", help="do not compare everybody with everybody, which takes long for many"
    )
    add_report_option(parser, "all of it, with a chart of the qualities")
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def _review(args: argparse.Namespace) -> ExitCode:
    with (
        open_engine(args) as engine,
        open_existing(args.gallery, engine=engine, key=args.key) as gallery,
        Progress((1 if args.no_doubles else 2) * gallery.statistics().templates, "templates") as bar,
    ):
        found = review(gallery, doubles=not args.no_doubles, progress=bar.advance)
    if args.report is not None:
        args.report.write_text(review_page.render(found), encoding="utf-8")
    if args.json:
        print_json(found.to_dict())
        return ExitCode.OK
    figures = found.statistics
    print(f"{plural(figures.subjects, 'subject')}, {plural(figures.templates, 'template')}, all whole")
    print("\n".join(f"- {sentence}" for sentence in found.attention) or "nothing needs attention")
    for pair in found.doubles.found[:_SHOWN] if found.doubles is not None else ():
        print(f"  {pair.first} and {pair.second}: similarity {pair.similarity:.3f}")
    return ExitCode.OK


ACTIONS = (
    Command(
        "list",
        "who is enrolled",
        "List the people of a gallery, one file or a collection of a vector server.",
        "  qcface gallery list staff.db\n  qcface gallery list staff.db --json | jq -r '.subjects[].subject'\n",
        _add_list,
        _list,
    ),
    Command(
        "show",
        "all that is held about one person",
        "Print all that is held about one person, to answer the person's own request. It is noted in the audit log.\n"
        "--json, --output and --report have the audit lines too, and the backups and exports that the data went into;\n"
        "biometric data only with --vectors and --crops.",
        "  qcface gallery show staff.db ann-lee\n"
        "  qcface gallery show staff.db ann-lee --crops --report ann-lee.html\n"
        "  qcface gallery show staff.db ann-lee --vectors --crops --output ann-lee.json\n",
        _add_show,
        _show,
    ),
    Command(
        "audit",
        "what was done, when",
        "Print the audit log: enrolments, removals, reports, exports, keys, backups. It never holds biometric data.",
        "  qcface gallery audit staff.db --last 20\n  qcface gallery audit staff.db --subject ann-lee --json\n",
        _add_audit,
        _audit,
    ),
    Command(
        "stats",
        "figures of the gallery",
        "Print how many people and templates there are, and what they take on disk and in memory.",
        "  qcface gallery stats staff.db\n",
        add_gallery_and_json,
        _stats,
    ),
    Command(
        "check",
        "is every template whole?",
        "Read the whole file, check its pages and indices, and unseal every template. Small galleries are checked "
        "like that\nwhenever they are opened.",
        "  qcface gallery check staff.db\n",
        add_gallery_and_json,
        _check,
    ),
    Command(
        "review",
        "look a gallery over: what needs attention?",
        "Check that every template is whole, then say what somebody should look at: people below the enrolment gate,\n"
        "people who look like one person under two ids, ends that have come or are near, missing notes of consent,\n"
        "where the master key lies, backups, and copies of keys that are older than removals. The page has the lists\n"
        "and a chart; nothing in it is biometric, but it names everybody. Nothing is changed.",
        "  qcface gallery review staff.db --report staff.html\n"
        "  qcface gallery review staff.db --json | jq .attention\n",
        _add_review,
        _review,
    ),
)
