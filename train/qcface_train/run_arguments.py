"""The parts of a recipe that say with which pictures and how a run is made."""

from __future__ import annotations

from dataclasses import dataclass, field

_CHOICES = {
    "optimiser": ("adamw", "sgd"),
    "schedule": ("cosine", "step"),
    "precision": ("fp32", "bf16", "fp16"),
    "device": ("auto", "cpu", "cuda"),
}


class RecipeError(ValueError):
    """A recipe that cannot be used: unknown key, wrong type or contradicting values."""


@dataclass(frozen=True, slots=True)
class DataArguments:
    """Pictures and augmentation."""

    shards: tuple[str, ...] = ("train/*.tar.gz", "unlabelled/*.tar.gz")
    """Patterns below the data folder: tar shards, image folders (one folder an identity), or RecordIO files."""
    read: str = "cache"
    """How pictures are read: cache (decoded once into a memory-mapped file) or stream (decoded each time)."""
    window: int = 0
    """Shards that the order of an epoch stays within at a time; 0 mixes everything. For compressed or slow shards."""
    smallest_class: int = 1
    """Identities with fewer pictures are used without their label (with a teacher) or not at all."""
    drawn: int = 0
    """Drawn people (16 pictures each) to use instead of shards; for trying the training without photographs."""
    pairs: tuple[str, ...] = ()
    """Patterns of verification sets (.bin) below the data folder, to watch while training; never to choose by."""
    held_out: int = 120
    """Identities (of 4 to 40 pictures) kept out of training, for choosing."""
    seed: int = 1
    """Fixes split, order and augmentation."""
    augmentation: str = "picture"
    """How pictures are changed: picture (one by one, by OpenCV on the CPU) or batch (all at once, on the device)."""
    resident: bool = False
    """Keep all pictures of the cache in the device's memory (37.6 KB each); needs augmentation batch."""
    damage_share: tuple[float, float] = (0.4, 0.65)
    """Share of damaged pictures in the identity phase and in the norm phase."""
    worst_damage: tuple[float, float] = (0.7, 1.0)
    """Largest strength of a damage, 0 to 1, in the identity phase and in the norm phase."""
    mixed_share: float = field(default=0.0, repr=False)
    """Share of pictures that are blended with another one; a blend has no identity and serves distillation only."""
    blends: int = field(default=0, repr=False)
    """Further pictures for distillation, each made of two training pictures (see qcface_train.blends)."""

    def __post_init__(self) -> None:
        """Reject shares outside 0 to 1."""
        for name in ("damage_share", "worst_damage"):
            values = getattr(self, name)
            if len(values) != 2 or not all(0 <= value <= 1 for value in values):
                raise RecipeError(f"data.{name}: expected two numbers from 0 to 1, got {values}")
        if not 0 <= self.mixed_share < 1:
            raise RecipeError(f"data.mixed_share must be at least 0 and below 1, got {self.mixed_share}")
        for name, least in (
            ("held_out", 0),
            ("blends", 0),
            ("seed", 0),
            ("drawn", 0),
            ("window", 0),
            ("smallest_class", 1),
        ):
            if getattr(self, name) < least:
                raise RecipeError(f"data.{name} must be at least {least}, got {getattr(self, name)}")
        if self.read not in ("cache", "stream"):
            raise RecipeError(f"data.read: expected cache or stream, got {self.read!r}")
        if self.augmentation not in ("picture", "batch"):
            raise RecipeError(f"data.augmentation: expected picture or batch, got {self.augmentation!r}")
        if self.resident and (self.augmentation != "batch" or self.read != "cache"):
            raise RecipeError("data.resident needs data.augmentation: batch and data.read: cache")
        if self.read == "cache" and self.window:
            raise RecipeError("data.window is for data.read: stream; a cache is read in any order at no cost")
        if (self.drawn > 0) == (len(self.shards) > 0):
            raise RecipeError("data: give either shards or drawn (with shards: []), not both and not neither")


@dataclass(frozen=True, slots=True)
class RunArguments:
    """Optimiser, schedule and bookkeeping."""

    batch: int = 128
    """Pictures of a step."""
    steps: int = 5000
    """Steps of the whole run; a time budget given on the command line replaces it."""
    epochs: float = 0.0
    """Length of the run as passes over the training pictures, instead of steps; 0 to give steps."""
    norm_phase: float = 0.3
    """Share of the steps at the end with the norm loss on; 0 for none, 1 for a run that is a norm phase only."""
    optimiser: str = "adamw"
    """adamw or sgd."""
    momentum: float = 0.9
    """Momentum of sgd."""
    lr: float = 3e-3
    """Peak learning rate."""
    schedule: str = "cosine"
    """How the rate falls over both phases: cosine, or step (by `drop` at each of `drops`)."""
    last_lr: float = 0.01
    """Last learning rate as a share of the peak; of the cosine schedule."""
    drops: tuple[float, ...] = ()
    """Shares of the run, 0 to 1, at which the step schedule drops the rate."""
    drop: float = 0.1
    """Factor of a drop."""
    warmup: int = 200
    """Steps of linear warm-up."""
    weight_decay: float = 0.05
    """Decay of matrices and kernels; batch norms and biases have none (it would fight ua)."""
    head_decay: float = 0.0
    """Decay of the class weights; their length means nothing, so with AdamW none is needed."""
    gain_lr: float = 10.0
    """Factor on the learning rate of the final batch norm's gain in the norm phase."""
    clip: float = 5.0
    """Largest gradient norm."""
    ema: float = 0.998
    """Decay of the running average of the weights, which is what is evaluated and exported."""
    accumulate: int = 1
    """Parts that each process's share of a batch is computed in, one after the other, to save memory."""
    precision: str = "bf16"
    """Number format of the backbone's forward pass: fp32, bf16 or fp16 (with a loss scale)."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu or cuda."""
    compile: str = ""
    """Backend of torch.compile, such as inductor; empty for none."""
    sync_batch_norm: bool = False
    """Share batch statistics between processes (CUDA only); for small batches a process."""
    threads: int = 2
    """Threads of PyTorch on a CPU."""
    workers: int = 1
    """Threads that read and change pictures ahead of the training."""
    tensorboard: bool = True
    """Whether curves are written for TensorBoard, beside log.jsonl."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints."""
    evaluate_minutes: float = 10.0
    """Minutes between evaluations on the held-out identities."""

    def __post_init__(self) -> None:
        """Reject values that make no run, and contradictions."""
        if min(self.batch, self.steps, self.threads, self.accumulate, self.workers) < 1:
            raise RecipeError("run: batch, steps, threads, accumulate and workers must be at least 1")
        if not 0 <= self.norm_phase <= 1:
            raise RecipeError(f"run.norm_phase must lie in 0 to 1, got {self.norm_phase}")
        if not 0 < self.ema < 1:
            raise RecipeError(f"run.ema must lie inside (0, 1), got {self.ema}")
        for key, known in _CHOICES.items():
            if getattr(self, key) not in known:
                raise RecipeError(f"run.{key}: expected one of {', '.join(known)}, got {getattr(self, key)!r}")
        if self.batch % self.accumulate:
            raise RecipeError(f"run: a batch of {self.batch} cannot be computed in {self.accumulate} equal parts")
        if self.lr <= 0 or self.clip <= 0:
            raise RecipeError("run: lr and clip must be above 0")
        if min(self.weight_decay, self.head_decay, self.warmup, self.checkpoint_minutes, self.evaluate_minutes) < 0:
            raise RecipeError("run: weight_decay, head_decay, warmup and minutes must be at least 0")
        if not 0 <= self.momentum < 1 or not 0 <= self.last_lr <= 1 or self.gain_lr <= 0:
            raise RecipeError("run: expected momentum from 0 to below 1, last_lr from 0 to 1, and gain_lr above 0")
        if self.epochs < 0 or (self.epochs and self.steps != RunArguments.__dataclass_fields__["steps"].default):
            raise RecipeError("run: give either epochs or steps, not both")
        self._check_schedule()

    def _check_schedule(self) -> None:
        if (self.schedule == "step") != bool(self.drops):
            raise RecipeError("run.drops belongs to schedule: step, which needs it")
        if list(self.drops) != sorted(set(self.drops)) or not all(0 < share < 1 for share in self.drops):
            raise RecipeError(f"run.drops: expected rising shares of the run inside (0, 1), got {list(self.drops)}")
        if not 0 < self.drop < 1:
            raise RecipeError(f"run.drop must lie inside (0, 1), got {self.drop}")
