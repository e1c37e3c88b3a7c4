"""Which options a sweep tries, and which values of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lvef.errors import ConfigurationError

_RANGE = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Searched:
    """An option and what is tried of it.

    Attributes:
        option: Its name, such as model.optimizer.lr.
        low: Least value of a range; None where there are choices.
        high: Largest value of it.
        log: Whether values are drawn evenly by their logarithm.
        step: Distance of values; None for any.
        choices: Values to choose from, as YAML has them.
    """

    option: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()

    def suggested(self, trial: Any) -> Any:
        """Return what a trial of Optuna's tries."""
        if self.choices:
            texts = [json.dumps(choice) for choice in self.choices]
            return json.loads(trial.suggest_categorical(self.option, texts))
        whole = all(isinstance(each, int) for each in (self.low, self.high, self.step or 1))
        suggest = trial.suggest_int if whole else trial.suggest_float
        step = {} if self.step is None else {"step": self.step}
        return suggest(self.option, self.low, self.high, log=self.log, **step)


def read_search_space(path: Path) -> list[Searched]:
    """Read which options are tried: a YAML file of options, each a range or choices.

        model.optimizer.lr: {low: 1.0e-5, high: 1.0e-2, log: true}
        model.head.dropout: {low: 0.0, high: 0.6, step: 0.1}
        model.optimizer.schedule: {choices: [cosine, plateau]}

    Raises:
        ConfigurationError: It cannot be read, or says something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"--search {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"--search {path} is not readable as YAML") from error
    if not isinstance(content, dict) or not content:
        raise ConfigurationError(f"--search {path} names no option to search")
    return [_searched(str(option), said, path) for option, said in content.items()]


def _searched(option: str, said: Any, path: Path) -> Searched:
    where = f"--search {path}, {option}"
    if not isinstance(said, dict):
        raise ConfigurationError(f"{where}: give low and high, or choices")
    if set(said) == {"choices"}:
        choices = said["choices"]
        if not isinstance(choices, list) or not choices:
            raise ConfigurationError(f"{where}: choices are a list of values")
        return Searched(option, choices=tuple(choices))
    if not {"low", "high"} <= set(said) <= _RANGE:
        raise ConfigurationError(f"{where}: give low and high (and log or step), or choices")
    numbers = [said["low"], said["high"], *([said["step"]] if "step" in said else [])]
    if not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
        raise ConfigurationError(f"{where}: a range is of numbers; 1e-3 is one as 1.0e-3 in YAML")
    log = bool(said.get("log", False))
    if not said["low"] < said["high"] or (log and said["low"] <= 0) or (log and "step" in said):
        raise ConfigurationError(
            f"{where}: low must be below high, and above 0 where log is true, which has no step"
        )
    if "step" in said and said["step"] <= 0:
        raise ConfigurationError(f"{where}: a step is above 0")
    return Searched(option, said["low"], said["high"], log, said.get("step"))
