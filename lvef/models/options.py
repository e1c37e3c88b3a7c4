"""Options that tasks share; their defaults stand here and nowhere else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from lvef.errors import ConfigurationError

T = TypeVar("T")


@dataclass(frozen=True)
class BackboneOptions:
    """The shared ResNet-50.

    Args:
        weights: IMAGENET1K_V2, IMAGENET1K_V1, the path of a local file, or null for random.
        freeze: true never trains it, false trains it from the start, a number trains it from
            that epoch on.
        lr_factor: Its learning rate relative to the head's.
    """

    weights: str | None = "IMAGENET1K_V2"
    freeze: bool | int = False
    lr_factor: float = 0.1


@dataclass(frozen=True)
class HeadOptions:
    """The MLP head.

    Args:
        hidden: Width of the hidden layer.
        dropout: Share of hidden units dropped in training.
    """

    hidden: int = 256
    dropout: float = 0.3


@dataclass(frozen=True)
class OptimizerOptions:
    """AdamW and its schedule.

    Args:
        lr: Learning rate of the head.
        weight_decay: Weight decay; none on biases and batch norm.
        schedule: cosine falls to zero over the run, plateau divides by five when the monitored
            metric stalls, constant stays.
        warmup_epochs: Epochs over which the rate rises to its peak (cosine only).
        patience: Epochs without progress before a plateau counts.
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    schedule: Literal["cosine", "plateau", "constant"] = "cosine"
    warmup_epochs: float = 0.5
    patience: int = 3


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


def plain(value: Any) -> Any:
    """Return options as a dict, so that checkpoints hold nothing but plain data."""
    return asdict(value)
