"""The augmentation of `augmentation.py` for a whole batch at once, on any device; for GPUs, which one picture bores.

The same changes with the same probabilities and strengths. What happens to a picture depends on the seed, the step and
its place in the batch of all processes, not on the device (but for rounding) or on the number of processes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from qcface_train.batched_damage import BATCH_DAMAGES, Uniforms, as_normals, quantised

_DRAWS = 12
"""Uniform numbers for each picture and kind of damage."""
_GREY = (0.299, 0.587, 0.114)


class BatchAugmentation:
    """Changes one process's part of each batch.

    Parameters
    ----------
    seed : int
        Equal seeds, equal changes.
    size : int
        Pictures of the batch of all processes.
    part : range
        Places of this process's pictures in it.
    """

    def __init__(self, seed: int, size: int, part: range) -> None:
        self._seed, self._size, self._part = seed, size, slice(part.start, part.stop)

    def __call__(self, pictures: Tensor, step: int, damage_share: float, worst: float) -> Tensor:
        """Return changed network inputs.

        Parameters
        ----------
        pictures : Tensor of uint8, shape (P, 112, 112, 3)
            RGB. Not modified.
        step : int
            Number of the batch.
        damage_share, worst : float
            As `qcface_train.augmentation.augment` takes them.

        Returns
        -------
        Tensor of float32, shape (P, 3, 112, 112)
            (x - 127.5) / 127.5, channels last.
        """
        rng = np.random.default_rng([self._seed, 4, step])
        basic = rng.random((self._size, 20))[self._part]
        places = rng.random((self._size, len(BATCH_DAMAGES)))[self._part]
        strengths = worst * rng.random((self._size, len(BATCH_DAMAGES)))[self._part]
        draws = rng.random((self._size, len(BATCH_DAMAGES), _DRAWS))[self._part]
        images = pictures.permute(0, 3, 1, 2).float()  # (P, 3, 112, 112), 0 to 255
        flipped = _to(basic[:, 0] < 0.5, images)[:, None, None, None]
        images = torch.where(flipped, images.flip(3), images)
        images = _on_some(images, basic[:, 1] < 0.6, basic, _shift)
        images = _on_some(images, basic[:, 2] < 0.4, basic, _recolour)
        counts = 1 + (basic[:, 4] < 0.35).astype(int) + (basic[:, 5] < 0.12)
        counts[basic[:, 3] >= damage_share] = 0
        ranks = places.argsort(axis=1).argsort(axis=1)  # a random order of the kinds; the first few happen
        for kind, damage in enumerate(BATCH_DAMAGES.values()):
            rows = np.flatnonzero(ranks[:, kind] < counts)
            if len(rows):
                index = _to(rows, images)
                images[index] = damage(images[index], strengths[rows, kind], draws[rows, kind])
        return images.sub_(127.5).div_(127.5).contiguous(memory_format=torch.channels_last)


def _to(values: NDArray[np.generic], like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device, non_blocking=True)


def _on_some(images: Tensor, chosen: NDArray[np.bool_], draws: Uniforms, change: object) -> Tensor:
    rows = np.flatnonzero(chosen)
    if len(rows):
        index = _to(rows, images)
        images = images.clone()
        images[index] = change(images[index], draws[rows])  # type: ignore[operator]
    return images


def _shift(images: Tensor, u: Uniforms) -> Tensor:
    """Turn, zoom and move a little: what an imperfect landmark finder does."""
    side = images.shape[-1]
    normal = as_normals(u[:, 6:10])
    turn, zoom = np.radians(4 * normal[:, 0]), np.exp(0.05 * normal[:, 1])
    middle, moved = (side - 1) / 2, 0.018 * side * normal[:, 2:4]
    # From a place in the result back to the place in the picture.
    inverse = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], 1).reshape(-1, 2, 2)
    inverse /= zoom[:, None, None]
    start = middle - np.einsum("nij,nj->ni", inverse, middle + moved)
    axis = torch.arange(side, device=images.device, dtype=torch.float32)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([columns, rows], dim=-1)  # (H, W, 2), x before y
    matrix, offset = _to(inverse.astype(np.float32), images), _to(start.astype(np.float32), images)
    source = torch.einsum("hwj,nij->nhwi", grid, matrix) + offset[:, None, None]
    source = source * (2 / (side - 1)) - 1
    return quantised(F.grid_sample(images, source, mode="bilinear", padding_mode="border", align_corners=True))


def _recolour(images: Tensor, u: Uniforms) -> Tensor:
    """Change gain, offset, gamma and colour balance; sometimes drop the colour."""
    normal = as_normals(u[:, 10:16])
    numbers = np.concatenate(
        [np.exp(0.2 * normal[:, :1]), np.exp(0.15 * normal[:, 1:2] + 0.05 * normal[:, 3:6]), 0.06 * normal[:, 2:3]], 1
    )
    gamma, gain, offset = _to(numbers.astype(np.float32), images)[:, :, None, None].split([1, 3, 1], dim=1)  # type: ignore[no-untyped-call]
    changed = ((images / 255) ** gamma * gain + offset).mul(255).clamp(0, 255).floor()
    grey = (changed * changed.new_tensor(_GREY)[:, None, None]).sum(1, keepdim=True).round()
    return torch.where(_to(u[:, 16] < 0.15, images)[:, None, None, None], grey, changed)
