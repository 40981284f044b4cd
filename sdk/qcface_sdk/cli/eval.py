"""Measure parts of the product on your own pictures: quality, and liveness checks."""

from __future__ import annotations

from qcface_sdk.cli import eval_edc, eval_liveness
from qcface_sdk.cli.command import Command, command_of_actions

ACTIONS: tuple[Command, ...] = (eval_edc.COMMAND, eval_liveness.COMMAND)

_EXAMPLES = """\
  qcface eval edc people/ --report edc.html
  qcface eval liveness --network 2.7_MiniFASNetV2.onnx --live staff/ --attack print=prints/

`qcface eval ACTION --help` explains one action; every action takes --json.
"""

COMMAND = command_of_actions(
    "eval",
    "measure quality or a liveness check on labelled pictures",
    description=__doc__ or "",
    examples=_EXAMPLES,
    actions=ACTIONS,
)
