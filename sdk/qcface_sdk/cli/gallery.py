"""Look after a gallery: who is in it, keys, backups, retention, moving people.

A gallery is one encrypted file with two beside it: GALLERY.keyring (one wrapped key per person) and, unless the master
key comes from elsewhere, GALLERY.key. Every action takes --key FILE or --key env:NAME for another place of the master
key, and --json.
"""

from __future__ import annotations

from qcface_sdk.cli.command import Command, command_of_actions
from qcface_sdk.cli.gallery_actions import enrolling, keeping, looking, measuring, transfers

ACTIONS: tuple[Command, ...] = (
    *enrolling.ACTIONS,
    *looking.ACTIONS,
    *keeping.ACTIONS,
    *transfers.ACTIONS,
    *measuring.ACTIONS,
)

_EXAMPLES = """\
  qcface gallery enroll-folder staff.db badges/ --report badges.html
  qcface gallery review staff.db --report staff.html
  qcface gallery list staff.db
  qcface gallery show staff.db ann-lee
  qcface gallery remove staff.db ann-lee --receipt ann-lee.json
  qcface gallery backup staff.db /backups/staff.db --keys /safe/staff.keyring

`qcface gallery ACTION --help` explains one action. Exit status 5 if there is no such gallery, subject or key.
"""

COMMAND = command_of_actions(
    "gallery",
    "look after a gallery: people, keys, backups, retention",
    description=__doc__ or "",
    examples=_EXAMPLES,
    actions=ACTIONS,
)
