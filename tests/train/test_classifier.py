"""The shared softmax against PyTorch's own, in one process; several processes are tested in test_distributed.py."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from qcface_train.classifier import Classifier, shared_cross_entropy, shared_probability  # noqa: E402
from qcface_train.distributed import World  # noqa: E402
from qcface_train.heads import ArcMargin, CosineHead, CurricularFace  # noqa: E402
from qcface_train.recognizability import guidance  # noqa: E402


def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
    rng = np.random.default_rng(len(shape) + shape[0])
    return torch.from_numpy(rng.normal(0, scale, shape).astype(np.float32))


def test_shared_cross_entropy_is_that_of_pytorch_with_its_gradient() -> None:
    ours, theirs = (draw(6, 9, scale=40).requires_grad_() for _ in range(2))
    labels = torch.tensor([0, 8, 3, 3, 5, 1])
    loss = shared_cross_entropy(ours, labels, World())
    wanted = F.cross_entropy(theirs, labels, reduction="none")
    torch.testing.assert_close(loss, wanted)
    weights = torch.arange(6.0)
    (loss * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_shared_cross_entropy_has_the_gradient_of_finite_differences() -> None:
    logits = draw(3, 5).double().requires_grad_()
    columns = torch.tensor([4, -1, 0])
    # A sample whose class lies elsewhere has no own logit here: only the log-sum-exp is left of its loss.
    wanted = torch.logsumexp(logits, 1) - torch.stack([logits[0, 4], logits.new_tensor(0), logits[2, 0]])
    torch.testing.assert_close(shared_cross_entropy(logits, columns, World()), wanted.float())
    shared_cross_entropy(logits, columns, World()).sum().backward()
    expected = torch.autograd.grad(wanted.sum(), logits)[0]
    torch.testing.assert_close(logits.grad, expected, rtol=1e-4, atol=1e-6)


def test_shared_probability_is_the_softmax() -> None:
    logits = draw(4, 7, scale=30)
    columns = torch.tensor([1, 2, 0, 6])
    torch.testing.assert_close(shared_probability(logits, columns, World()), logits.softmax(1)[range(4), columns])


@pytest.mark.parametrize("margin", [ArcMargin(0.5, 32.0), CurricularFace(0.5, 32.0)], ids=["arc", "curricular"])
def test_classifier_answers_as_head_margin_and_cross_entropy_do(margin: torch.nn.Module) -> None:
    torch.manual_seed(3)
    classifier = Classifier(7, 16, margin, 20.0, World()).eval()
    embeddings = draw(5, 16, scale=3).requires_grad_()
    classes = torch.tensor([2, -1, 6, 0, -1])
    answer = classifier(embeddings, classes)
    known = classes >= 0
    head = CosineHead(7, 16)
    head.load_state_dict(classifier.head.state_dict())
    cosines = head(embeddings[known])
    wanted = F.cross_entropy(margin(cosines, classes[known], embeddings[known].norm(dim=1)), classes[known])
    torch.testing.assert_close(answer.loss, wanted)
    torch.testing.assert_close(answer.p[known], guidance(cosines, classes[known], 20.0))
    assert answer.p[~known].tolist() == [0, 0]
    assert int(answer.known) == 3
    ours = torch.autograd.grad(answer.loss, embeddings)[0]
    torch.testing.assert_close(ours, torch.autograd.grad(wanted, embeddings)[0])
    assert ours[1].abs().max() == 0


def test_classifier_of_a_batch_without_classes_has_no_loss_but_a_gradient() -> None:
    classifier = Classifier(4, 8, ArcMargin(), 20.0, World())
    embeddings = draw(3, 8).requires_grad_()
    answer = classifier(embeddings, torch.full((3,), -1))
    answer.loss.backward()
    assert float(answer.loss.detach()) == 0
    assert float(embeddings.grad.abs().max()) == 0
    assert answer.p.tolist() == [0, 0, 0]
