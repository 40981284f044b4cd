"""The seven kinds of damage of `augmentation.py`, for many pictures at once with a strength each.

Blur and down-scaling are separable, so each is one matrix a picture from the left and from the right; motion blur is a
product in the frequency domain; JPEG is its own arithmetic, from colours to quantised cosines and back. Noise is a
hash of picture and pixel, so that it is the same on every device.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Uniforms = NDArray[np.float64]
Damage = Callable[[Tensor, Uniforms, Uniforms], Tensor]

_GAMMA = 2.2
_WORD = 0xFFFFFFFF
_CELLS = 14
_MOTION_HALF = 14
_SMALLEST_SIDE = 4


def quantised(images: Tensor) -> Tensor:
    """Round to whole numbers from 0 to 255."""
    return images.round().clamp_(0, 255)


def as_normals(u: Uniforms) -> Uniforms:
    """Map uniform numbers (N, K), K even, to standard normal ones (N, K)."""
    first, second = u[:, 0::2], u[:, 1::2]
    radius = np.sqrt(-2 * np.log1p(-first))
    return np.concatenate([radius * np.cos(2 * np.pi * second), radius * np.sin(2 * np.pi * second)], axis=1)


def _between(mild: float, strong: float, strength: Uniforms) -> Uniforms:
    return np.asarray(mild * (strong / mild) ** strength)


def _tensor(values: NDArray[np.generic], like: Tensor) -> Tensor:
    kind = np.float32 if np.issubdtype(values.dtype, np.floating) else values.dtype
    return torch.from_numpy(np.ascontiguousarray(values, kind)).to(like.device, non_blocking=True)


def _hash(seeds: Uniforms, count: int, like: Tensor) -> Tensor:
    """Return (N, count) whole numbers of 32 random bits: a mix (MurmurHash3's) of each seed and a counter."""
    key = _tensor((seeds * 2**31).astype(np.int64), like)[:, None]
    word = (torch.arange(count, device=like.device) * 0x9E3779B1 + key * 0x85EBCA77) & _WORD
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = ((word ^ (word >> shift)) * factor) & _WORD
    return word ^ (word >> 16)


def _normals(seeds: Uniforms, like: Tensor) -> Tensor:
    """Return standard normal numbers of the shape of `like`, (N, ...)."""
    count = like[0].numel()
    u = (_hash(seeds, count + count % 2, like).float() + 0.5) / 2**32
    first, second = u.chunk(2, dim=1)
    radius = torch.sqrt(-2 * torch.log(first.clamp(1e-9, 1)))
    normal = torch.cat([radius * torch.cos(2 * math.pi * second), radius * torch.sin(2 * math.pi * second)], 1)
    return normal[:, :count].reshape(like.shape)


def _separable(images: Tensor, matrices: Tensor) -> Tensor:
    """Multiply each channel (H, W) by its picture's matrix (H, H) from both sides."""
    matrices = matrices[:, None]
    return quantised(matrices @ images @ matrices.transpose(2, 3))


def _occlude(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    side = images.shape[-1]
    share, ratio = _between(0.03, 0.62, strength), np.exp(0.35 * as_normals(u[:, 0:2])[:, 0])
    width = np.minimum(side, np.rint(side * np.sqrt(share * ratio)))
    height = np.minimum(side, np.rint(side * np.sqrt(share / ratio)))
    x, y = np.rint((side - width) * u[:, 2]), np.rint((side - height) * u[:, 3])
    is_patch = u[:, 4] < 0.25
    is_ellipse = ~is_patch & (u[:, 5] < 0.3)
    numbers = _tensor(np.stack([x, y, width, height]), images)[:, :, None, None]
    axis = torch.arange(side, device=images.device, dtype=torch.float32)
    dx, dy = axis[None, None, :] - numbers[0], axis[None, :, None] - numbers[1]
    inside = (dx >= 0) & (dx < numbers[2]) & (dy >= 0) & (dy < numbers[3])
    half_width, half_height = (numbers[2] // 2).clamp_min(1), (numbers[3] // 2).clamp_min(1)
    round_part = ((dx - half_width) / half_width) ** 2 + ((dy - half_height) / half_height) ** 2 <= 1
    covered = torch.where(_tensor(is_ellipse, images)[:, None, None], round_part, inside)[:, None]
    colour = _tensor(np.floor(256 * u[:, 6:9]), images)[:, :, None, None]
    patch = _patches(images, u[:, 9], dx, dy, numbers[2], numbers[3])
    fill = torch.where(_tensor(is_patch, images)[:, None, None, None], patch, colour)
    return torch.where(covered, fill, images)


def _patches(images: Tensor, seeds: Uniforms, dx: Tensor, dy: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Return coarse coloured noise, a cell for every 8 pixels of each rectangle, drawn out smoothly."""
    noise = (_hash(seeds, 3 * _CELLS**2, images) >> 24).float().reshape(-1, 3, _CELLS, _CELLS)
    places = []
    for offset, length in ((dx, width), (dy, height)):
        cells = (length // 8).clamp_min(1)
        place = ((offset + 0.5) * cells / length - 0.5).minimum(cells - 1).clamp_min(0)
        places.append(place * (2 / (_CELLS - 1)) - 1)
    side = images.shape[-1]
    grid = torch.stack([place.expand(-1, side, side) for place in places], dim=-1)
    return quantised(F.grid_sample(noise, grid, mode="bilinear", padding_mode="border", align_corners=True))


def _darken(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    # Light falls by 2^-stops; the encoded value, light^(1/gamma), by 2^(-stops/gamma).
    stops = 0.3 + 6.2 * strength
    factor, sigma = _tensor(np.stack([2.0 ** (-stops / _GAMMA), stops * (0.2 + 0.7 * u[:, 0])]), images)
    return quantised(images * factor[:, None, None, None] + sigma[:, None, None, None] * _normals(u[:, 1], images))


def _move(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    length, angle = _between(2.0, 26.0, strength), math.pi * u[:, 0]
    kernels = np.zeros((len(length), 2 * _MOTION_HALF + 1, 2 * _MOTION_HALF + 1), np.float32)
    counts = 3 * length.astype(int) + 2
    number = np.arange(counts.max())[None]
    steps = -(length[:, None] - 1) / 2 + (length[:, None] - 1) * number / (counts[:, None] - 1)
    sample, point = np.nonzero(number < counts[:, None])
    columns = np.rint(_MOTION_HALF + steps * np.cos(angle)[:, None]).astype(int)
    rows = np.rint(_MOTION_HALF + steps * np.sin(angle)[:, None]).astype(int)
    np.add.at(kernels, (sample, rows[sample, point], columns[sample, point]), 1.0)
    kernels /= kernels.sum(axis=(1, 2), keepdims=True)
    padded = F.pad(images, [_MOTION_HALF] * 4, mode="reflect")
    size = (padded.shape[2], padded.shape[3])
    product = torch.fft.rfft2(padded) * torch.fft.rfft2(_tensor(kernels, images), s=size)[:, None]
    moved = torch.fft.irfft2(product, s=size)
    return quantised(moved[:, :, 2 * _MOTION_HALF :, 2 * _MOTION_HALF :])


def _blur(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    side = images.shape[-1]
    sigma = _between(0.5, 6.5, strength)
    radius = np.rint(6 * sigma + 1).astype(int) // 2  # OpenCV's choice for 8-bit pictures
    numbers = _tensor(np.stack([sigma, radius.astype(float)]), images)[:, :, None, None]
    axis = torch.arange(side, device=images.device, dtype=torch.float32)
    to, source = axis[None, :, None], axis[None, None, :]
    # Beyond the border the picture is mirrored about its outermost pixels, which are not doubled.
    outermost = (source == 0, source == side - 1)
    matrices = torch.zeros(len(sigma), side, side, device=images.device)
    for place, unused in ((source, None), (-source, outermost[0]), (2 * (side - 1) - source, outermost[1])):
        distance = to - place
        weight = torch.exp(-0.5 * (distance / numbers[0]) ** 2) * (distance.abs() <= numbers[1])
        matrices += weight if unused is None else torch.where(unused, 0, weight)
    return _separable(images, matrices / matrices.sum(dim=2, keepdim=True))


@functools.cache
def _scalings(side: int) -> NDArray[np.float32]:
    """Return for each smaller side, and for linear and cubic enlarging, the matrix of shrinking and enlarging."""
    one = np.eye(side, dtype=np.float32)
    matrices = np.zeros((side + 1, 2, side, side), np.float32)
    for small in range(_SMALLEST_SIDE, side + 1):
        shrink = cv2.resize(one, (side, small), interpolation=cv2.INTER_AREA)
        for number, kind in enumerate((cv2.INTER_LINEAR, cv2.INTER_CUBIC)):
            matrices[small, number] = cv2.resize(shrink, (side, side), interpolation=kind)
    return matrices


def _shrink(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    side = images.shape[-1]
    small = np.maximum(_SMALLEST_SIDE, np.rint(_between(0.9, 0.11, strength) * side)).astype(int)
    return _separable(images, _tensor(_scalings(side)[small, (u[:, 0] >= 0.6).astype(int)], images))


def _add_noise(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    sigma = _tensor(_between(3.0, 78.0, strength), images)[:, None, None, None]
    return quantised(images + sigma * _normals(u[:, 0], images))


# Tables K.1 and K.2 of ITU-T T.81, row by row.
_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_COSINES = np.sqrt(2 / 8) * np.cos((2 * np.arange(8)[None] + 1) * np.arange(8)[:, None] * np.pi / 16)
_COSINES[0] /= np.sqrt(2)


def _compress(images: Tensor, strength: Uniforms, u: Uniforms) -> Tensor:
    quality = np.rint(_between(85.0, 4.0, strength))
    scale = np.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
    luma, chroma = (np.clip(np.floor((table * scale + 50) / 100), 1, 255) for table in (_LUMA, _CHROMA))
    colours = torch.einsum("ij,njhw->nihw", _tensor(_TO_YCC, images), images)
    light = _through_cosines(colours[:, :1] - 128, _tensor(luma, images)) + 128
    # Colour is kept at half the size.
    colour = _through_cosines(F.avg_pool2d(colours[:, 1:], 2).round(), _tensor(chroma, images))
    colour = F.interpolate(colour, scale_factor=2, mode="bilinear", align_corners=False)
    both = torch.cat([light, colour], dim=1)
    return quantised(torch.einsum("ij,njhw->nihw", _tensor(np.linalg.inv(_TO_YCC), images), both))


def _through_cosines(planes: Tensor, tables: Tensor) -> Tensor:
    """Quantise planes (N, C, H, W) in 8x8 blocks of cosines by each picture's table (N, 8, 8)."""
    count, channels, height, width = planes.shape
    cosines = _tensor(_COSINES, planes)
    blocks = planes.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    tables = tables[:, None, None, None]
    kept = (cosines @ blocks @ cosines.T / tables).round() * tables
    back = (cosines.T @ kept @ cosines).round().clamp(-128, 127)
    return back.transpose(3, 4).reshape(planes.shape)


BATCH_DAMAGES: Mapping[str, Damage] = MappingProxyType(
    {
        "occlusion": _occlude,
        "dark": _darken,
        "motion": _move,
        "blur": _blur,
        "size": _shrink,
        "noise": _add_noise,
        "jpeg": _compress,
    }
)
"""Kinds of damage, in the order in which they happen; each takes pictures (N, 3, H, W) in 0 to 255, strengths (N,) from
0 to 1 and uniform numbers (N, 12), and returns whole numbers from 0 to 255."""
