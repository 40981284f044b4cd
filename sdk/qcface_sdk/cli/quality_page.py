"""Contact sheets of judged faces, best first, and the page that holds sheets and table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.cli.judged import COLUMNS, JudgedFace
from qcface_sdk.cli.pictures import AnnotatedFolder, Image
from qcface_sdk.cli.printing import plural
from qcface_sdk.drawing import Tile, contact_sheet
from qcface_sdk.html_page import render_list, render_page, render_table
from qcface_sdk.measurements import QualityGate
from qcface_sdk.results import Outcome

FACES_PER_SHEET = 60
_SHEET = Path("contact-sheet")
_COLUMNS, _TILE_WIDTH, _PICTURE_HEIGHT = 6, 220, 176


def encode_crop(crop: Image) -> bytes:
    """Return an aligned face as JPEG, for `JudgedFace.crop`."""
    return cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def save_sheets(folder: AnnotatedFolder, faces: Sequence[JudgedFace]) -> tuple[Path, ...]:
    """Write contact sheets of faces that carry crops; return the files.

    Parameters
    ----------
    folder : AnnotatedFolder
        Where the marked pictures are; a sheet takes no name that one of them has.
    faces : sequence of JudgedFace
        In the order in which they are shown, `FACES_PER_SHEET` on each sheet.
    """
    files = []
    for start in range(0, len(faces), FACES_PER_SHEET):
        shown = faces[start : start + FACES_PER_SHEET]
        sheet = contact_sheet(
            [_tile(judged) for judged in shown],
            title=f"Quality: faces {start + 1} to {start + len(shown)} of {len(faces)}",
            subtitle="best first; quality 0..100, then the file, then what is poor",
            columns=_COLUMNS,
            tile_width=_TILE_WIDTH,
            picture_height=_PICTURE_HEIGHT,
        )
        files.append(folder.save(_SHEET, sheet))
    return tuple(files)


def write_page(
    file: Path, faces: Sequence[JudgedFace], failures: Sequence[str], sheets: Sequence[Path], gate: QualityGate
) -> None:
    """Write the page; it shows `sheets`, which lie beside it."""
    retry = sum(not judged.usable for judged in faces)
    parts = [
        f"<p>{plural(len(faces), 'face')}, {retry} below the gate for probes at quality {gate.minimum:g}. "
        f"From there on the false non-match rate at false-match rate {gate.fmr:g} is at most {100 * gate.fnmr:.1f} % "
        f"<span>({escape(gate.origin)})</span>.</p>",
    ]
    if faces:
        # Best first, so the n-th face says what quality n faces reach.
        shares = [100 * number / len(faces) for number in range(1, len(faces) + 1)]
        qualities = [judged.quality for judged in faces]
        axes = Axis("% of the faces", limits=(0, 100)), Axis("have at least this quality", limits=(0, 100))
        parts.append(draw_lines("Quality reached", *axes, {"quality": ([0.0, *shares], [qualities[0], *qualities])}))
    parts += [
        f"<p><img src='{quote(sheet.name)}' alt='contact sheet {number} of {len(sheets)}'></p>"
        for number, sheet in enumerate(sheets, 1)
    ]
    parts.append(render_table(COLUMNS, [judged.cells() for judged in faces]))
    if failures:
        parts += ["<h2>Not judged</h2>", render_list(failures)]
    # A file name need not be text; the page shows a question mark where it is none.
    file.write_text(render_page("Quality of the faces", parts), encoding="utf-8", errors="replace")


def _tile(judged: JudgedFace) -> Tile:
    image = cv2.imdecode(np.frombuffer(judged.crop or b"", np.uint8), cv2.IMREAD_COLOR)
    which = judged.file.name if judged.number == 1 else f"{judged.file.name} #{judged.number}"
    return Tile(
        np.asarray(image, np.uint8),
        f"{judged.quality:.0f}  {which}".encode("ascii", "replace").decode(),
        judged.reasons or "nothing poor seen",
        None if judged.usable else Outcome.RETRY,
        judged.quality,
    )
