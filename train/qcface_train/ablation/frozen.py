"""Train two layers over a frozen network's outputs with any of the losses; see `qcface_train.ablation.features`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qcface_sdk.evaluation import KINDS
from qcface_train.ablation.features import Features, Floats
from qcface_train.ablation.figures import Figures, measure
from qcface_train.arguments import Recipe
from qcface_train.backbone import EMBEDDING_SIZE
from qcface_train.evaluation.lfw import VerificationSet
from qcface_train.heads import CosineHead, build_margin
from qcface_train.loop import DivergedError
from qcface_train.norm_terms import build_norm_term
from qcface_train.recognizability import guidance
from qcface_train.schedule import Plan


class FrozenNet(nn.Module):
    """Outputs of a frozen network to raw embedding: one hidden layer, then the end that every backbone has."""

    def __init__(self, inputs: int, hidden: int = 512, dropout: float = 0.2) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.BatchNorm1d(inputs), nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Dropout(dropout)
        )
        self.project = nn.Linear(hidden, EMBEDDING_SIZE, bias=False)
        self.final_bn = nn.BatchNorm1d(EMBEDDING_SIZE)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, F) to raw embeddings (N, 512)."""
        embedding: Tensor = self.final_bn(self.project(self.hidden(features)))
        return embedding


class FrozenTrainer:
    """One arm with one seed, over features; the phases, terms and weights are those of `qcface_train.loop.Trainer`.

    Parameters
    ----------
    recipe : Recipe
        Its loss and run sections count, and the seed.
    features : Features
        What is trained and measured on.
    """

    def __init__(self, recipe: Recipe, features: Features) -> None:
        self.recipe, self.features = recipe, features
        torch.manual_seed(recipe.data.seed)
        torch.set_num_threads(recipe.run.threads)
        self.network = FrozenNet(features.train.shape[1])
        self.head = CosineHead(int(features.classes.max()) + 1, EMBEDDING_SIZE)
        self.margin = build_margin(recipe.loss)
        self.norm_term = build_norm_term(recipe.loss)
        self.plan = Plan.of(recipe.run.steps, recipe.run.norm_phase)
        gain = list(self.network.final_bn.parameters())
        body = [*self.network.hidden.parameters(), *self.network.project.parameters()]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in body if p.ndim > 1], "weight_decay": recipe.run.weight_decay},
            {"params": [p for p in body if p.ndim <= 1]},
            {"params": list(self.head.parameters())},
            {"params": gain},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.run.lr, weight_decay=0.0)

    def fit(self) -> None:
        """Train to the end of the plan.

        Raises
        ------
        DivergedError
            If the loss is NaN or infinite.
        """
        run = self.recipe.run
        inputs, classes = torch.from_numpy(self.features.train), torch.from_numpy(self.features.classes)
        rng = np.random.default_rng([self.recipe.data.seed, 13])
        order = np.empty(0, np.int64)
        for step in range(self.plan.steps):
            if len(order) < run.batch:
                order = np.concatenate([order, rng.permutation(len(inputs))])
            rows, order = torch.from_numpy(order[: run.batch]), order[run.batch :]
            if step == self.plan.norm_from:
                self._start_norm_phase(inputs[rows])
            self._step(step, inputs[rows], classes[rows])

    def _step(self, step: int, inputs: Tensor, classes: Tensor) -> None:
        run = self.recipe.run
        late = step >= self.plan.norm_from
        self.network.train()
        if late:
            self.network.final_bn.eval()  # as the loop does: the loss then sees the lengths of inference
        loss = self._loss(step, self.network(inputs), classes)
        if not math.isfinite(float(loss.detach())):
            raise DivergedError(f"loss is not finite at step {step}; lower run.lr or loss.norm_weight")
        share = max(0.0, (step - run.warmup) / max(1, self.plan.steps - run.warmup))
        rate = run.lr * min(1.0, (step + 1) / max(1, run.warmup))
        rate *= run.last_lr + (1 - run.last_lr) * 0.5 * (1 + math.cos(math.pi * share))
        for group, factor in zip(
            self.optimiser.param_groups, (1.0, 1.0, 1.0, run.gain_lr if late else 1.0), strict=True
        ):
            group["lr"] = rate * factor
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), run.clip)
        self.optimiser.step()

    def _loss(self, step: int, embeddings: Tensor, classes: Tensor) -> Tensor:
        loss = self.recipe.loss
        cosines, norms = self.head(embeddings), embeddings.norm(dim=1)
        total: Tensor = loss.identity_weight * F.cross_entropy(self.margin(cosines, classes, norms), classes)
        if self.norm_term is None or (self.norm_term.late and step < self.plan.norm_from):
            return total
        rise = min(1.0, (step - self.plan.norm_from + 1) / max(1, loss.norm_warmup)) if self.norm_term.late else 1.0
        p = guidance(cosines, classes, loss.p_scale)
        return total + loss.norm_weight * rise * self.norm_term(norms, p).mean()

    @torch.no_grad()
    def _start_norm_phase(self, inputs: Tensor) -> None:
        middle = (self.recipe.loss.la + self.recipe.loss.ua) / 2
        factor = middle / float(self.network.eval()(inputs).norm(dim=1).mean())
        for parameter in self.network.final_bn.parameters():
            parameter.mul_(factor)
            self.optimiser.state.pop(parameter, None)

    @torch.inference_mode()
    def embed(self, features: Floats) -> Floats:
        """Map features (..., F) to raw embeddings (..., 512) in evaluation mode."""
        flat = torch.from_numpy(features.reshape(-1, features.shape[-1]))
        found: Floats = self.network.eval()(flat).numpy().reshape(*features.shape[:-1], EMBEDDING_SIZE)
        return found

    def measure(self, test: VerificationSet) -> Figures:
        """Return the table's figures and the mean recognizability at the end, on the training pictures."""
        lengths = np.linalg.norm(self.embed(self.features.ladder).astype(np.float64), axis=-1)
        with torch.inference_mode():
            raw = self.network.eval()(torch.from_numpy(self.features.train))
            p = guidance(self.head(raw), torch.from_numpy(self.features.classes), self.recipe.loss.p_scale)
        return {
            "samples": self.plan.steps * self.recipe.run.batch,
            "p_above_99": float((p > 0.99).float().mean()),
            "p_quartiles": torch.quantile(p, torch.tensor([0.05, 0.25, 0.5, 0.75])).tolist(),
            **measure(self.embed(self.features.test), dict(zip(KINDS, lengths, strict=True)), test),
        }
