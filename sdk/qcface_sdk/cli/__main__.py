"""Lets ``python -m qcface_sdk.cli`` stand in for the `qcface` script."""

from __future__ import annotations

import sys

from qcface_sdk.cli import main

sys.exit(main())
