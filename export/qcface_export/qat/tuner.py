"""Fine-tune the rounding network with the loss it was trained with, held to its FP32 master."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from qcface_export.errors import ExportError
from qcface_export.qat.placement import Placement
from qcface_export.qat.quantizer import fake_quantized, learned_steps
from qcface_export.qat.rounding import LearnedStep
from qcface_train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from qcface_train.data import Batch
from qcface_train.objective import Objective

_FILE = "tuning.pt"
_FULL_NORM_WEIGHT = 2**31
"""So many steps into the norm phase: far beyond its warm-up."""

_RISE = 8
_LEAST_SIZE = 1e-3
"""Root mean square that a tensor of zeros is taken to have."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How to fine-tune."""

    steps: int
    """Batches to see."""
    rate: float = 1e-4
    """Learning rate of AdamW, as a share of each tensor's own root mean square: equalised layers differ much in size.
    Rises over the first eighth of the steps and falls to 0 along a cosine; 0 keeps the weights as they are."""
    step_rate: float = 2e-2
    """Likewise for the logarithms (base 2) of the activations' steps; 0 keeps those of the calibration."""
    closeness: float = 100.0
    """Weight of the squared distance to the master's embedding, relative to the master's length."""
    training_loss: float = 0.1
    """Weight of the loss the network was trained with. Small: it is to keep a trained network, not to train on."""
    clip: float = 5.0
    """Largest gradient."""

    def __post_init__(self) -> None:
        """Reject what cannot be trained with."""
        if self.steps < 1:
            raise ExportError(f"steps must be at least 1, got {self.steps}")
        for name, rate in (("weights", self.rate), ("activations' steps", self.step_rate)):
            if not (math.isfinite(rate) and rate >= 0):
                raise ExportError(f"the learning rate of the {name} must be at least 0, got {rate}")
        if self.rate == self.step_rate == 0:
            raise ExportError("with both learning rates at 0 nothing changes; raise one of them")
        if min(self.closeness, self.training_loss) < 0 or self.closeness + self.training_loss == 0:
            raise ExportError("the weights of closeness and training loss must be at least 0, and one of them above it")


@dataclass(frozen=True, slots=True)
class Tuned:
    """What fine-tuning gave."""

    network: nn.Module
    """In FP32 and without rounding, batch norms folded."""
    steps: Mapping[str, float]
    """Tensor of the master to the step that its grid came to; the weights are made for these."""


class Tuner:
    """Owns rounding network and optimiser of one fine-tuning; not thread-safe.

    Parameters
    ----------
    network : Module
        With folded batch norms, so that their figures stay as they are. Not modified; it is the master to keep to.
    placement : Placement
        Of the network's master.
    objective : Objective
        The loss of the training, with its class weights; these are not trained further.
    tuning : Tuning
        How.

    Raises
    ------
    ExportError
        If the placement is of another network.
    """

    def __init__(self, network: nn.Module, placement: Placement, objective: Objective, tuning: Tuning) -> None:
        self.network, self.placement, self.objective, self.tuning = network, placement, objective, tuning
        self.student = fake_quantized(network, placement)
        steps = [module.exponent for module in self.student.modules() if isinstance(module, LearnedStep)]
        own = {id(step) for step in steps}
        self._weights = [parameter for parameter in self.student.parameters() if id(parameter) not in own]
        self._steps = [step for step in steps if step.requires_grad]
        self._rates = [tuning.rate * _size(weight) for weight in self._weights] + [tuning.step_rate]
        groups = [{"params": [weight]} for weight in self._weights] + [{"params": self._steps}]
        self._optimiser = torch.optim.AdamW(groups, lr=tuning.rate, betas=(0.9, 0.99), weight_decay=0.0)
        self.step = 0

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Take one step; return the figures to log.

        Raises
        ------
        ExportError
            If the loss is not finite; the weights of before the step are kept.
        """
        share = self._share_of_rate()
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        # Channels last with 1x1 convolutions of stride 2 is not safe in FP32 on a CPU, see `Precision.memory_format`.
        images = batch.images.contiguous()
        embeddings: Tensor = self.student(images)
        with torch.no_grad():
            wanted = self.network(images)
        distance = ((embeddings - wanted).square().sum(1) / wanted.square().sum(1)).mean()
        verdict = self.objective(embeddings, batch, _FULL_NORM_WEIGHT)
        loss = self.tuning.training_loss * verdict.total + self.tuning.closeness * distance
        if not torch.isfinite(loss):
            raise ExportError(
                f"the loss of step {self.step} is not finite; lower the learning rate from {self.tuning.rate}"
            )
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for part in (self._weights, self._steps):
            nn.utils.clip_grad_norm_(part, self.tuning.clip)
        self._optimiser.step()
        self.step += 1
        own = {"loss": loss, "distance": distance}
        figures = {name: float(value.detach()) for name, value in (verdict.figures | own).items()}
        return figures | {"lr": self.tuning.rate * share}

    def _share_of_rate(self) -> float:
        # The first steps of Adam are all of one size, whatever the gradient: at the full rate they would do more harm
        # than the rounding does.
        rise = min(1.0, (self.step + 1) / max(1, self.tuning.steps // _RISE))
        return rise * 0.5 * (1 + math.cos(math.pi * self.step / self.tuning.steps))

    def result(self) -> Tuned:
        """Return the network as it is now, without rounding, and its steps."""
        tuned = copy.deepcopy(self.network)
        names = tuned.state_dict().keys()
        found = {name: value.detach().clone() for name, value in self.student.named_parameters() if name in names}
        tuned.load_state_dict(tuned.state_dict() | found)
        return Tuned(tuned.eval(), MappingProxyType(learned_steps(self.student, self.placement)))

    def save(self, folder: Path) -> None:
        """Write what an exact resume needs to ``tuning.pt`` of a folder.

        Raises
        ------
        CheckpointError
            If it cannot be written; the last good one is still there.
        """
        content = {
            "model": self.student.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
            "begun_with": self._begun_with(),
        }
        save_checkpoint(folder / _FILE, content)

    def resume(self, folder: Path) -> None:
        """Go on from what `save` wrote.

        Raises
        ------
        CheckpointError
            If there is nothing, it is damaged, or it was begun from other weights, another table or other settings.
        """
        content = load_checkpoint(folder / _FILE)
        if content.get("begun_with") != self._begun_with():
            raise CheckpointError(
                f"{folder / _FILE} was begun with other weights, grids or settings; repeat the command it was begun "
                "with, or give another folder"
            )
        self.student.load_state_dict(content["model"])
        self._optimiser.load_state_dict(content["optimiser"])
        self.step = int(content["step"])

    def _begun_with(self) -> str:
        digest = hashlib.sha256(json.dumps([asdict(self.tuning), dict(self.placement.steps)]).encode())
        for name, value in self.network.state_dict().items():
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
        return digest.hexdigest()


def _size(weight: Tensor) -> float:
    return max(float(weight.detach().square().mean().sqrt()), _LEAST_SIZE)
