"""Pack what a release made and measured into a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qcface_export.bundle_packing import BundleParts, DerivedFile, make_bundle, write_bundle
from qcface_export.latency import Latency
from qcface_export.proof.report import proofs_json
from qcface_export.release import Release, Released
from qcface_sdk.bundle import Bundle
from qcface_sdk.manifest import Artifact
from qcface_train.evaluation.run import stretch_rows, tail_rows, threshold_rows


def pack(
    release: Release,
    released: Sequence[Released],
    latencies: Sequence[Latency],
    parts: BundleParts,
    folder: Path,
    file: Path | None,
) -> Bundle:
    """Pack FP32 and the INT8 files that passed; `parts` gives texts, detector and card.

    An INT8 file is preferred by its runtime where it was the faster one in `latencies`.

    Raises
    ------
    GateError
        If a file failed its proof.
    ModelFormatError, ManifestError, OptionError, ModelError
        As `make_bundle` and `write_bundle`; nothing is written then.
    """
    best = {item.name: item.best for item in latencies}
    measured = [release.fp32_figures(), *(item.figures for item in released)]
    derived = tuple(
        DerivedFile(
            Artifact(item.target.artifact, item.target.file, "int8", (item.target.runtime,)),
            item.data,
            preferred=best[f"INT8 on {item.target.runtime}"] < best[f"FP32 on {item.target.runtime}"],
        )
        for item in released
    )
    bundle = make_bundle(
        replace(
            parts,
            recognizer=release.master,
            derived=derived,
            thresholds=_json(
                thresholds=[row for figures in measured for row in threshold_rows(figures)],
                tails=[row for figures in measured for row in tail_rows(figures)],
                stretches=[row for figures in measured for row in stretch_rows(figures)],
            ),
            quality=_json(
                quality=[
                    {key: figures["model"][key] for key in ("artifact", "runtime")} | figures["quality"]
                    for figures in measured
                ]
            ),
            proofs=proofs_json([item.proof for item in released]),
        )
    )
    write_bundle(bundle, folder, file, overwrite=True)
    return bundle


def _json(**content: Any) -> bytes:
    return json.dumps(content, allow_nan=False).encode()
