"""One process or several: who does what, and the few things that processes have to tell each other."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_PATIENCE = timedelta(minutes=30)
"""A process that waits longer for the others takes them for dead; building a cache can take minutes."""


class WorldError(ValueError):
    """A device that is absent, or work that cannot be shared among so many processes."""


@dataclass(frozen=True, slots=True)
class World:
    """One process among those of the run; the default is a run of one process."""

    rank: int = 0
    """Number of this process, from 0."""
    size: int = 1
    """Number of processes."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where this process computes."""

    @classmethod
    def open(cls, device: str = "auto") -> World:
        """Join the run that `torchrun` began, or be a run of one.

        Parameters
        ----------
        device : str
            auto (CUDA if there is one), cpu or cuda.

        Raises
        ------
        WorldError
            If cuda is asked for and absent, or there are fewer devices than processes.
        """
        if device == "cuda" and not torch.cuda.is_available():
            raise WorldError("run.device is cuda, but PyTorch finds no CUDA device; use auto or cpu")
        on_cuda = device != "cpu" and torch.cuda.is_available()
        place = torch.device("cpu")
        if on_cuda:
            number = int(os.environ.get("LOCAL_RANK", "0"))
            if number >= torch.cuda.device_count():
                raise WorldError(
                    f"process {number + 1} of this machine has no CUDA device, there are {torch.cuda.device_count()}; "
                    "start fewer with torchrun --nproc-per-node"
                )
            place = torch.device("cuda", number)
            torch.cuda.set_device(place)
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if on_cuda else "gloo", timeout=_PATIENCE)
        return cls(int(os.environ.get("RANK", "0")), size, place)

    def close(self) -> None:
        """Leave the run."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def even_part(self, count: int) -> slice:
        """Return this process's equal share of `count` things.

        Raises
        ------
        WorldError
            If they cannot be shared equally.
        """
        if count % self.size:
            raise WorldError(f"{count} pictures a step cannot be shared by {self.size} processes; change run.batch")
        each = count // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def class_part(self, count: int, rank: int | None = None) -> range:
        """Return the classes that this process (or process `rank`) holds; the last may hold fewer.

        Raises
        ------
        WorldError
            If a process would hold none.
        """
        each = -(-count // self.size)
        if (self.size - 1) * each >= count:
            raise WorldError(f"{count} classes are too few for {self.size} processes; start fewer")
        first = (self.rank if rank is None else rank) * each
        return range(first, min(first + each, count))

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes; no gradient."""
        return self._reduce(values, dist.ReduceOp.SUM)

    def max(self, values: Tensor) -> Tensor:
        """Return the largest over all processes; no gradient."""
        return self._reduce(values, dist.ReduceOp.MAX)

    def _reduce(self, values: Tensor, operation: Any) -> Tensor:
        if self.size == 1:
            return values
        total = values.detach().clone()
        dist.all_reduce(total, operation)
        return total

    def gather(self, values: Tensor) -> Tensor:
        """Return the rows of all processes, which have equally many, in the order of the processes; no gradient."""
        if self.size == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts)

    def gather_with_gradient(self, rows: Tensor) -> Tensor:
        """Return the rows (N, D) of all processes; each process's gradient reaches the rows where they came from.

        Use it where each process computes *a part* of one loss. The parts of the gradient are added up, and
        multiplied by the number of processes because `parallel` divides by it.
        """
        if self.size == 1:
            return rows
        gathered: Tensor = _Gather.apply(rows, self)  # type: ignore[no-untyped-call]
        return gathered

    def joined_classes(self, part: Tensor, count: int) -> Tensor:
        """Return the class rows of all processes, (count, ...), on the CPU of the first process; empty elsewhere."""
        if self.size == 1:
            return part.detach().cpu()
        pieces = []
        for rank in range(self.size):
            length = len(self.class_part(count, rank))
            piece = part.detach().contiguous() if rank == self.rank else part.new_empty(length, *part.shape[1:])
            dist.broadcast(piece, rank)
            if self.is_first:
                pieces.append(piece.cpu())
        return torch.cat(pieces) if pieces else torch.empty(0)

    def parallel(self, model: nn.Module) -> nn.Module:
        """Return the model as it is, or wrapped so that gradients are averaged over the processes."""
        if self.size == 1:
            return model
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, world: World) -> Tensor:
        ctx.world, ctx.count = world, len(rows)
        return world.gather(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        world, count = ctx.world, ctx.count
        total = world.sum(gradients[0].contiguous())
        return total[world.rank * count : (world.rank + 1) * count] * world.size, None
