"""From a trained checkpoint to a packed bundle with INT8 files, in steps that are kept and never done twice.

Every step writes its result into the work folder under a name that holds the hash of what it was made of, whole or not
at all. A release that was stopped goes on where it was; another checkpoint, table or option makes other names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qcface_export.bundle_packing import RECOGNIZER_FILE, RECOGNIZER_ID
from qcface_export.calibration import calibrate
from qcface_export.calibration_table import DEFAULT_PERCENTILE, SMALL_TENSOR, CalibrationTable
from qcface_export.embedders import KeptRecognizer
from qcface_export.errors import GateError
from qcface_export.face_check import check_faces
from qcface_export.files import write_whole
from qcface_export.kept_steps import kept_name
from qcface_export.latency import Latency, measure_latency
from qcface_export.layer_choice import VERSION, LayerChoice
from qcface_export.mixed_precision import last_layers
from qcface_export.model_checks import recognizer_embeddings
from qcface_export.pictures import PictureSet, split_pictures
from qcface_export.proof import Limit, ProofPictures, ProofReport, prove, read_limits, render_proof
from qcface_export.proof.strips import make_strips
from qcface_export.quantized_file import EMITTERS, TENSORRT, quantize
from qcface_export.range_search import STEPS, search_ranges
from qcface_train.evaluation.lfw import VerificationSet, read_lfw
from qcface_train.evaluation.recognizer import LIMITS
from qcface_train.evaluation.run import Options, measure

Figures = dict[str, Any]

# In the names of kept figures: what is measured changed, so that those of an earlier version are made anew.
_FIGURES_VERSION = 4


@dataclass(frozen=True, slots=True)
class Target:
    """One INT8 file of the bundle."""

    artifact: str
    """Its id."""
    file: str
    """Its name."""
    runtime: str
    """The backend it is made for, or that judges it."""
    form: str
    """How it is quantised: a key of `EMITTERS`."""


TARGETS = (
    Target("recognizer-int8", "recognizer.int8.onnx", "onnxruntime", "onnxruntime"),
    Target("recognizer-int8-openvino", "recognizer.int8-openvino.onnx", "openvino", "openvino"),
)
"""Files a release makes beside FP32."""
# What `build_trt.py` will make on the machine with the GPU, with FP32 floats so that a CPU can judge it. Not packed.
_TENSORRT = Target("recognizer-trt-int8-fp32", "recognizer.trt.int8-fp32.onnx", "openvino", TENSORRT)
# A signed grid wastes a bit on what a Relu leaves, so TensorRT's form needs more layers in float than the others.
_MOST_FOR_TENSORRT = 16
# Pictures of the calibration that the ranges are searched on: a hundred or two, or the search takes half an hour.
_RANGE_PICTURES = 160
# Where the gate refuses a file on its own pictures, the search is done again with less room.
_ROOMS = (0.9, 0.75, 0.6)


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """What to release."""

    calibration: Sequence[Path]
    """Folders or tar files of aligned faces: calibration takes the first of each, the search the next."""
    pairs: Path
    """Labelled set (LFW) for thresholds, quality and gate; never trained or calibrated on."""
    work: Path
    """Folder for the steps' results; not inside the source tree."""
    pairs_name: str = "LFW"
    """What the labelled set is called."""
    pictures: int = 256
    """Pictures to calibrate on; a quarter more, damaged, come on top."""
    search_pictures: int = 120
    """Pictures to search on."""
    percentile: float = DEFAULT_PERCENTILE
    """Percentile that ranges are cut at, or that the search for them begins with."""
    search_ranges: bool = True
    """Whether each range is then tried narrower and wider."""
    most_in_float: int = 6
    """Layers to keep in float at most, beside those behind the last pooling."""
    ladder_faces: int = 200
    """Faces that are damaged."""
    replicates: int = 1000
    """Resamples of each bootstrap."""
    targets: Sequence[Target] = TARGETS
    """INT8 files to make."""
    limits: Mapping[str, Limit] = field(default_factory=read_limits)
    """Of the gate."""
    lengths: tuple[float, float] = LIMITS
    """The magnitudes la and ua that the training aimed at."""


@dataclass(frozen=True, slots=True)
class Released:
    """What a release made of one target."""

    target: Target
    """Which."""
    data: bytes
    """The file."""
    search: tuple[str, ...]
    """Which layers stay in float, as text."""
    proof: ProofReport
    """What the gate found."""
    figures: Figures
    """Thresholds, quality and the rest, from `qcface_train.evaluation`."""


@dataclass(frozen=True, slots=True)
class _Layers:
    """Layers that stay in float, and why, as text."""

    layers: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """A file that passed."""

    path: Path
    layers: _Layers
    proof: ProofReport


class Release:
    """Runs the steps; `say` is told of each. Not thread-safe; one process for a work folder."""

    def __init__(self, master: bytes, options: ReleaseOptions, say: Callable[[str], None] = print) -> None:
        self.master, self.options, self._say = master, options, say
        self._work = options.work
        self._master_key = hashlib.sha256(master).hexdigest()[:16]
        recognizer_embeddings(master, "onnxruntime")
        self._faces: VerificationSet | None = None
        self._faces_key = ""
        self._split: tuple[PictureSet, PictureSet] | None = None
        self._found: list[tuple[str, ...]] = []

    @property
    def faces(self) -> VerificationSet:
        """The labelled set."""
        if self._faces is None:
            self._faces = read_lfw(self.options.pairs)
            self._faces_key = _key_of(self._faces, self.options.pairs_name)
        return self._faces

    def table(self) -> CalibrationTable:
        """Calibrate and search the ranges, or take the table of an earlier run."""
        made_of = (self._master_key, self._pictures()[0].sha256)
        table = self._kept_table(kept_name("table", *made_of), self._calibrate)
        if not self.options.search_ranges:
            return table
        asked = (self._forms(), self.options.percentile, self._limits(), SMALL_TENSOR, STEPS, _RANGE_PICTURES)
        return self._kept_table(kept_name("ranges", *made_of, *asked), lambda: self._search(table))

    def _kept_table(self, name: str, make: Callable[[], CalibrationTable]) -> CalibrationTable:
        path = self._work / f"{name}.json"
        if path.is_file():
            table = CalibrationTable.from_json(path.read_bytes())
            table.check_model(self.master)
            return table
        table = make()
        write_whole(path, table.to_json())
        return table

    def _calibrate(self) -> CalibrationTable:
        pictures, _ = self._pictures()
        check_faces(pictures)
        self._say(f"calibrating on {len(pictures.crops)} pictures")
        return calibrate(self.master, pictures)

    def _search(self, table: CalibrationTable) -> CalibrationTable:
        crops = self._pictures()[0].crops
        crops = crops[:: -(-len(crops) // _RANGE_PICTURES)]
        self._say(f"looking for the ranges of activations on {len(crops)} pictures")
        found = search_ranges(
            self.master,
            table,
            self._forms(),
            crops,
            self.options.limits,
            percentile=self.options.percentile,
            nodes_in_float=last_layers(self.master, table),
            progress=self._say,
        )
        self._say(str(found))
        return found.table

    def _limits(self) -> list[tuple[str, str, float]]:
        """Return the limits that searches look at, in a fixed order."""
        return sorted((name, limit.kind, limit.value) for name, limit in self.options.limits.items())

    def _forms(self) -> dict[str, str]:
        """Return what the ranges must suit: every form that is made, and the backend that runs it here."""
        return {target.form: target.runtime for target in (*self.options.targets, _TENSORRT)}

    def _pictures(self) -> tuple[PictureSet, PictureSet]:
        """Return the pictures to calibrate on and those to search on."""
        if self._split is None:
            options = self.options
            self._split = split_pictures(options.calibration, options.pictures, options.search_pictures)
        return self._split

    def run(self, target: Target) -> Released:
        """Make, judge and measure one INT8 file.

        Raises
        ------
        GateError
            If no file with few enough layers in float passes; the reports stay in the work folder.
        """
        made = self._made(target)
        figures = self.measure(made.path, target.artifact, target.runtime)
        return Released(target, made.path.read_bytes(), made.layers.lines, made.proof, figures)

    def tensorrt_layers(self) -> LayerChoice:
        """Choose the layers that `build_trt.py` keeps in float; call it last, it begins with what the others needed.

        Raises
        ------
        GateError
            If no file with few enough layers in float passes.
        """
        made = self._made(_TENSORRT)
        return LayerChoice(
            VERSION,
            self.table().sha256,
            self.options.percentile,
            made.layers.layers,
            made.layers.lines,
            tuple(made.proof.lines()),
            made.proof.origin,
        )

    def _made(self, target: Target) -> _Made:
        """Make one file that passes the gate, with less and less room for the search."""
        table = self.table()
        first = start = last_layers(self.master, table)
        most = max(self.options.most_in_float, _MOST_FOR_TENSORRT if target.form == TENSORRT else 0)
        for room in _ROOMS:
            # What an earlier search left in float counts, too.
            kept = self._layers(target, table, room, start, most - (len(start) - len(first)))
            data = EMITTERS[target.form](
                self.master, table, percentile=self.options.percentile, nodes_in_float=kept.layers
            )
            path = self._work / f"{target.artifact}-{hashlib.sha256(data).hexdigest()[:16]}.onnx"
            write_whole(path, data)
            proof = self._prove(target, path)
            if proof.passed:
                self._found.append(kept.layers)
                return _Made(path, kept, proof)
            self._say("\n".join(proof.lines()))
            start = kept.layers
        proof.check()
        raise AssertionError("a failed proof passed its check")

    def _layers(
        self, target: Target, table: CalibrationTable, room: float, start: tuple[str, ...], most: int
    ) -> _Layers:
        """Search for at most `most` layers to keep in float beside `start`, or take what an earlier run found."""
        _, pictures = self._pictures()
        asked = (
            table.sha256,
            pictures.sha256,
            target.form,
            self.options.percentile,
            room,
            start,
            self._found,
            most,
            self._limits(),
            SMALL_TENSOR,
        )
        path = self._work / f"{kept_name('layers', *asked)}.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            return _Layers(tuple(found["layers"]), tuple(found["lines"]))
        self._say(f"{target.artifact}: looking for layers that must stay in float (within {room:.0%} of each limit)")
        search = quantize(
            self.master,
            table,
            target.form,
            pictures.crops,
            self.options.limits,
            runtime=target.runtime,
            percentile=self.options.percentile,
            most=most,
            room=room,
            start=start,
            # What another runtime needed is a good guess and saves most of the search.
            guesses=self._found,
            progress=self._say,
        ).search
        write_whole(path, json.dumps({"layers": search.layers, "lines": search.lines()}).encode())
        return _Layers(search.layers, tuple(search.lines()))

    def _prove(self, target: Target, path: Path) -> ProofReport:
        faces = self.faces
        fp32 = self.measure(self._master_file(), RECOGNIZER_ID, "onnxruntime")
        reference, candidate = (
            self._recognizer(self._master_file(), RECOGNIZER_ID, "onnxruntime"),
            self._recognizer(path, target.artifact, target.runtime),
        )
        self._say(f"{target.artifact}: proof on {len(faces.crops)} faces")
        title = self.options.pairs_name
        report = prove(
            lambda crops: reference.embed(crops, title),
            lambda crops: candidate.embed(crops, title),
            ProofPictures(title, faces.crops, faces.subjects, self.options.ladder_faces),
            self.options.limits,
            artifact=target.artifact,
            runtime=target.runtime,
            reference_name=f"{RECOGNIZER_FILE} on onnxruntime",
            thresholds={row["fmr"]: row["threshold"] for row in fp32["rates"] if row["supported"]},
            replicates=self.options.replicates,
        )
        page = render_proof(report, make_strips(reference.embed, candidate.embed))
        write_whole(self._work / f"proof-{target.artifact}.html", page.encode())
        write_whole(self._work / f"proof-{target.artifact}.json", report.to_json())
        reference.close()
        candidate.close()
        return report

    def measure(self, path: Path, artifact: str, runtime: str) -> Figures:
        """Measure thresholds, quality and gates of one file on one runtime, or take those of an earlier run."""
        digest, faces = hashlib.sha256(path.read_bytes()).hexdigest()[:16], self.faces
        key = f"{digest}-{runtime}-{self._faces_key}-{self.options.ladder_faces}-{self.options.replicates}"
        if self.options.lengths != LIMITS:
            key += "-{:g}-{:g}".format(*self.options.lengths)
        kept = self._work / f"figures{_FIGURES_VERSION}-{key}.json"
        if kept.is_file():
            found: Figures = json.loads(kept.read_text(encoding="utf-8"))
            return found
        self._say(f"{artifact} on {runtime}: thresholds and quality on {self.options.pairs_name}")
        recognizer = self._recognizer(path, artifact, runtime)
        options = Options(
            path,
            self.options.pairs,
            data_name=self.options.pairs_name,
            backend=runtime,
            ladder_faces=self.options.ladder_faces,
            replicates=self.options.replicates,
        )
        figures = measure(options, recognizer, faces)
        recognizer.close()
        if "reason" in figures["quality"]:
            raise GateError(f"{artifact} on {runtime} has no quality map: {figures['quality']['reason']}")
        write_whole(kept, (json.dumps(figures, indent=1, allow_nan=False) + "\n").encode())
        return figures

    def _master_file(self) -> Path:
        path = self._work / f"master-{self._master_key}.onnx"
        if not path.is_file():
            write_whole(path, self.master)
        return path

    def _recognizer(self, path: Path, artifact: str, runtime: str) -> KeptRecognizer:
        return KeptRecognizer(path, self._work / "embeddings", artifact, runtime, self.options.lengths)

    def fp32_figures(self) -> Figures:
        """Measure the master itself."""
        return self.measure(self._master_file(), RECOGNIZER_ID, "onnxruntime")

    def latencies(self, released: Sequence[Released]) -> list[Latency]:
        """Time FP32 and INT8 on every runtime in one run."""
        runtimes = [item.target.runtime for item in released]
        files = [(f"FP32 on {runtime}", self.master, runtime) for runtime in runtimes]
        files += [(f"INT8 on {item.target.runtime}", item.data, item.target.runtime) for item in released]
        return measure_latency(files)


def _key_of(faces: VerificationSet, name: str) -> str:
    """Return a hash of a labelled set and of its name, which the origin of every figure holds."""
    labels = (name, faces.names, faces.subjects.tolist(), faces.pairs.tolist(), faces.same.tolist(), faces.folds)
    digest = hashlib.sha256(repr(labels).encode())
    digest.update(np.ascontiguousarray(faces.crops).data)
    return digest.hexdigest()[:16]
