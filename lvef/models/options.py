"""Options that tasks share; their defaults stand here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeVar

from lvef.errors import ConfigurationError
from lvef.models.gp.kernels import KernelName
from lvef.models.own_class import is_class_path
from lvef.options import (
    COUNT,
    LEARNING_RATE,
    NOT_NEGATIVE,
    PROPER_SHARE,
    WEIGHT_DECAY,
    CheckedOptions,
    Range,
    ranged,
)

T = TypeVar("T")
Reduction = Literal["pca", "learned"]
FloatPrecision = Literal["double", "single"]
ReleasedName = Literal[
    "auto", "none", "echonet_dynamic_ef", "echonet_dynamic_lv", "echoprime", "panecho"
]
"""What a file of weights is said to be: what its tensors tell, nothing released, or an encoder of
`lvef.models.backbones.released`."""
MLP, ADAMW = "mlp", "adamw"
"""What this package's own head and optimiser are called."""
SCHEDULES = ("cosine", "plateau", "constant")
"""This package's own schedules of the learning rate."""


@dataclass(frozen=True)
class BackboneOptions(CheckedOptions):
    """The shared backbone: what turns frames into features.

    Args:
        weights: imagenet for those that the network's library trained on ImageNet, another name of
            torchvision's such as IMAGENET1K_V1, the path of a local file, or null for random.
        freeze: true never trains it, false trains it from the start, a number trains it from
            that epoch on.
        lr_factor: Its learning rate relative to the head's.
        checkpoint: A checkpoint of a trained classifier, regressor or Gaussian process whose
            backbone to start from, in place of `weights`.
        name: Which network: resnet50; timm/NAME, such as timm/convnext_tiny, or timm/NAME.TAG for
            other weights (needs the extra timm); torchvision/NAME, such as torchvision/vit_b_16; or
            the class path of a network of your own, such as my_models.MyEncoder with --import
            my_models.
        arguments: What a network of a library or of your own is made with, by name.
        released: Which released echo encoder a file of weights is: auto tells it by its tensors,
            none takes it for none of them.
    """

    where: ClassVar[str] = "model.backbone."
    weights: str | None = "imagenet"
    freeze: bool | int = ranged(False, NOT_NEGATIVE)
    lr_factor: float = ranged(0.1, Range(0, 1000))
    checkpoint: str | None = None
    name: str = "resnet50"
    arguments: dict[str, Any] | None = None
    released: ReleasedName = "auto"

    def __post_init__(self) -> None:
        """Refuse numbers out of their ranges, and read null, of which the parser makes text."""
        super().__post_init__()
        _read_null(self, "arguments")


@dataclass(frozen=True)
class HeadOptions(CheckedOptions):
    """The head: what turns features into answers.

    Args:
        hidden: Width of the hidden layer of mlp.
        dropout: Share of hidden units of mlp dropped in training.
        name: Which head: mlp, or the class path of one of your own, such as my_models.MyHead with
            --import my_models, which is made with the number of features and that of outputs.
        arguments: What a head of your own is made with besides, by name.
    """

    where: ClassVar[str] = "model.head."
    hidden: int = ranged(256, Range(1, 2**16))
    dropout: float = ranged(0.3, Range(0, 1, below=True))
    name: str = MLP
    arguments: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what belongs to another head, and read null, of which the parser makes text.

        Raises:
            ConfigurationError: Something cannot work.
        """
        super().__post_init__()
        _read_null(self, "arguments")
        if self.name == MLP:
            _refuse(self, "arguments", f"{MLP} takes none: it has hidden and dropout")
            return
        _check_name(self, "name", (MLP,), "torch.nn.Module such as my_models.MyHead")
        for name in ("hidden", "dropout"):
            _refuse(self, name, f"it is of {MLP}: give {self.name} its own by model.head.arguments")


@dataclass(frozen=True)
class GPOptions(CheckedOptions):
    """The exact Gaussian process.

    Args:
        kernel: How alike cases are whose features lie so far apart; linear_rbf is an RBF around a
            linear trend.
        reduction: null keeps every feature, pca projects on the leading principal components,
            learned goes on from there with the marginal likelihood (it can overfit).
        components: Dimensions kept by a reduction.
        restarts: Starting points of the search for hyperparameters.
        precision: double, or single (half the memory).
        max_cholesky: Most cases solved exactly; above it GPyTorch's conjugate gradients, with the
            hyperparameters of 5,000 cases. null takes what the memory holds.
    """

    where: ClassVar[str] = "model.gp."
    kernel: KernelName = "rbf"
    reduction: Reduction | None = None
    components: int = ranged(32, COUNT)
    restarts: int = ranged(4, Range(1, 100))
    precision: FloatPrecision = "double"
    max_cholesky: int | None = ranged(None, COUNT)


@dataclass(frozen=True)
class UncertaintyOptions(CheckedOptions):
    """What predictions say of their uncertainty.

    Args:
        level: Coverage of the stated interval, or set of plausible classes, in 0..1; null for 0.9,
            and in test and predict for the checkpoint's own.
        review_share: An EF is flagged for review when its standard deviation is above that of
            this share of VAL, the most uncertain; or when its interval straddles EF 40. A class is
            flagged when another is plausible; where that would be more than half of VAL, when it
            is among this share with the most doubtful calls.
    """

    where: ClassVar[str] = "model.uncertainty."
    level: float | None = ranged(None, PROPER_SHARE)
    review_share: float = ranged(0.1, PROPER_SHARE)


@dataclass(frozen=True)
class OptimizerOptions(CheckedOptions):
    """The optimiser and its schedule.

    Args:
        lr: Learning rate of the head.
        weight_decay: Weight decay, where the optimiser has one; none on biases, norms and
            embeddings of positions.
        schedule: cosine falls to zero over the run, plateau divides by five when the monitored
            metric stalls, constant stays; or the class path of a schedule of torch's or of your
            own, such as torch.optim.lr_scheduler.StepLR.
        warmup_epochs: Epochs over which the rate rises to its peak (cosine only).
        patience: Epochs without progress before a plateau counts (plateau only).
        name: Which optimiser: adamw, or the class path of one of torch's or of your own, such as
            torch.optim.SGD.
        arguments: What the optimiser is made with besides lr and weight_decay, by name.
        schedule_arguments: What a schedule that is given by its class path is made with, by name.
        schedule_interval: Whether such a schedule moves every step or every epoch.
    """

    where: ClassVar[str] = "model.optimizer."
    lr: float = ranged(1e-3, LEARNING_RATE)
    weight_decay: float = ranged(0.05, WEIGHT_DECAY)
    schedule: str = SCHEDULES[0]
    warmup_epochs: float = ranged(0.5, NOT_NEGATIVE)
    patience: int = ranged(3, NOT_NEGATIVE)
    name: str = ADAMW
    arguments: dict[str, Any] | None = None
    schedule_arguments: dict[str, Any] | None = None
    schedule_interval: Literal["epoch", "step"] = "epoch"

    def __post_init__(self) -> None:
        """Refuse what cannot work, and read null, of which the parser makes text.

        Raises:
            ConfigurationError: Something cannot work.
        """
        super().__post_init__()
        _read_null(self, "arguments")
        _read_null(self, "schedule_arguments")
        for own in ("params", "lr", "weight_decay"):
            if own in (self.arguments or {}):
                said = "is the model's" if own == "params" else f"is {self.where}{own}"
                raise ConfigurationError(f"{self.where}arguments.{own} {said}")
        _check_name(self, "name", (ADAMW,), "torch.optim.Optimizer such as torch.optim.SGD")
        if self.schedule not in SCHEDULES:
            kind = "torch.optim.lr_scheduler.LRScheduler such as torch.optim.lr_scheduler.StepLR"
            _check_name(self, "schedule", SCHEDULES, kind)
            return
        for name in ("schedule_arguments", "schedule_interval"):
            _refuse(self, name, f"{self.schedule} has none: it is of a schedule by its class path")


def options(kind: type[T], value: T | dict[str, Any] | None) -> T:
    """Return options of a kind, from themselves, from a checkpoint's dict, or the defaults."""
    if value is None:
        return kind()
    if isinstance(value, kind):
        return value
    try:
        return kind(**value)  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigurationError(f"{kind.__name__}: {error}") from error


def _read_null(chosen: Any, name: str) -> None:
    """Read null in arguments of a class, of which the parser makes text; no arguments are None."""
    given: Mapping[str, Any] = getattr(chosen, name) or {}
    read = {each: None if value == "None" else value for each, value in given.items()}
    object.__setattr__(chosen, name, read or None)  # frozen, but not yet made


def _check_name(chosen: CheckedOptions, name: str, known: tuple[str, ...], kind: str) -> None:
    """Refuse a name that is neither known nor the path of a class."""
    value = getattr(chosen, name)
    if value not in known and not is_class_path(value):
        raise ConfigurationError(
            f"{chosen.where}{name} is {value!r:.80}, but must be {', '.join(known)}, or the class "
            f"path of a {kind}"
        )


def _refuse(chosen: CheckedOptions, name: str, why: str) -> None:
    """Refuse an option that is given though it has no effect."""
    if getattr(chosen, name) != getattr(type(chosen), name):
        raise ConfigurationError(f"{chosen.where}{name}: {why}")


def plain(value: Any) -> Any:
    """Return options as a dict, so that checkpoints hold nothing but plain data."""
    return asdict(value)
