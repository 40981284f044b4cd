"""One process of two, for test_distributed.py: writes loss, p and gradients of each head to a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from qcface_train.arguments import LossArguments
from qcface_train.classifier import Classifier
from qcface_train.data import Batch
from qcface_train.distributed import World
from qcface_train.heads import build_margin
from qcface_train.norm_terms import build_norm_term
from qcface_train.objective import Objective

HEADS = ("arc", "curricular", "mv", "adaface", "magface")
CLASSES, SIZE, SAMPLES = 9, 16, 8


def measure(head: str, world: World) -> dict[str, np.ndarray]:
    """Return loss, p, gradients and running figures of one step on this process's part of a fixed batch."""
    torch.manual_seed(5)
    loss = LossArguments(
        head=head, norm="magface" if head == "magface" else "qcface", la=1, ua=40, scale=16, identity_weight=1.0
    )
    network = torch.nn.Sequential(torch.nn.Linear(6, SIZE))
    classifier = Classifier(CLASSES, SIZE, build_margin(loss), 8.0, world)
    objective = Objective(loss, classifier, build_norm_term(loss)).train()
    rng = np.random.default_rng(1)
    inputs = torch.from_numpy(rng.normal(0, 3, (SAMPLES, 6)).astype(np.float32))
    # Two samples without a class, both in one process; classes of both processes in both halves.
    classes = torch.tensor([0, 8, -1, -1, 4, 5, 8, 2])
    part = world.even_part(SAMPLES)
    parallel = world.parallel(network)  # must outlive the backward pass
    embeddings = parallel(inputs[part])
    verdict = objective(embeddings, Batch(inputs[part], classes[part], inputs[part][:, :0]), 50)
    answer = classifier.eval()(embeddings.detach(), classes[part])
    verdict.total.backward()
    figures = {name: float(world.sum(value.double())) / world.size for name, value in verdict.figures.items()}
    return {
        "loss": np.array([figures["loss"], figures["id"], figures["p"], figures.get("qc", 0.0), figures["norm"]]),
        "p": answer.p.numpy(),
        "weight": classifier.head.weight.grad.numpy(),
        "network": network[0].weight.grad.numpy(),
        "t": np.array([float(value) for value in classifier.margin.buffers()]),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = World.open("cpu")
    for name in HEADS:
        np.savez(Path(sys.argv[1]) / f"{name}-{here.rank}.npz", **measure(name, here))
    here.close()
