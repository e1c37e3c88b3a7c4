"""An item of a reporting checklist: what it asks, and where a run answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from lvef.run_files import CASES, CONFIG, EXCLUDED, METRICS, RUN_RECORD

Which = Literal["test", "fit"]
Facts = dict[str, Any]
"""What of a run decides what an item says: `phantom`, `kind`, `same_data`, `external` and
`groups`, see `Evidence.facts`."""
EF_KINDS = ("classification", "regression")


@dataclass(frozen=True)
class Pointer:
    """Where an answer stands.

    Attributes:
        file: A file in the run's folder.
        key: Names from the outside in, joined by dots; of a table a column; empty for the whole.
        of: Whether it is the run of the test, or of the fit that made its checkpoint.
        kinds: Kinds of tasks that have it.
        always: Whether every complete run of these has it.
    """

    file: str
    key: str = ""
    of: Which = "test"
    kinds: tuple[str, ...] = EF_KINDS
    always: bool = True

    def __str__(self) -> str:
        """Return it as a reader looks it up."""
        where = self.file if self.of == "test" else f"fit {self.file}"
        return f"{where}: {self.key}" if self.key else where


@dataclass(frozen=True)
class Item:
    """An item of a checklist, in our own words.

    Attributes:
        number: Its number in the guideline.
        topic: What it asks.
        pointers: Where the run answers it.
        authors: What is left to the authors; empty where the run says it all.
        note: What must be known to read the answer.
        absent: Why nothing answers it, and what would.
        unused: Why it does not apply where nothing answers it.
        phantoms: Why it does not apply to phantoms; empty where it does.
        told: Returns a sentence that depends on the run.
        undone: Returns why it was not done in a run, whatever its pointers say; empty where it was.
    """

    number: str
    topic: str
    pointers: tuple[Pointer, ...] = ()
    authors: str = ""
    note: str = ""
    absent: str = ""
    unused: str = ""
    phantoms: str = ""
    told: Callable[[Facts], str] = lambda _: ""
    undone: Callable[[Facts], str] = lambda _: ""


@dataclass(frozen=True)
class Guideline:
    """A reporting guideline.

    Attributes:
        name: Its name.
        source: Where it was published.
        sections: Its items by section, in order.
    """

    name: str
    source: str
    sections: dict[str, list[Item]]


def metrics(*keys: str, kinds: tuple[str, ...] = EF_KINDS) -> tuple[Pointer, ...]:
    """Point into `metrics.json`."""
    return tuple(Pointer(METRICS, key, kinds=kinds) for key in keys)


def cases(*columns: str, kinds: tuple[str, ...] = EF_KINDS) -> tuple[Pointer, ...]:
    """Point to columns of `cases.csv`."""
    return tuple(Pointer(CASES, column, kinds=kinds) for column in columns)


def record(*keys: str, of: Which = "test", always: bool = True) -> tuple[Pointer, ...]:
    """Point into `run.json`."""
    return tuple(Pointer(RUN_RECORD, key, of, always=always) for key in keys)


def config(*keys: str, of: Which = "fit", always: bool = True) -> tuple[Pointer, ...]:
    """Point into `config.yaml`; data options may be those of a class."""
    return tuple(Pointer(CONFIG, key, of, always=always) for key in keys)


def figures(*names: str, kinds: tuple[str, ...] = EF_KINDS) -> tuple[Pointer, ...]:
    """Point to pictures."""
    return tuple(Pointer(f"{name}.png", kinds=kinds) for name in names)


def figures_of_classes(*names: str) -> tuple[Pointer, ...]:
    """Point to pictures of both classes; of a regressor's cases there may be one class alone."""
    of_regressors = (Pointer(f"{name}.png", kinds=("regression",), always=False) for name in names)
    return (*figures(*names, kinds=("classification",)), *of_regressors)


def study(name: str, *keys: str) -> tuple[Pointer, ...]:
    """Point to what a study of the same checkpoint found, in a folder of its name in a run's."""
    runs: tuple[Which, ...] = ("test", "fit")
    return tuple(
        Pointer(f"{name}/{name}.json", key, of, always=False) for of in runs for key in keys
    )


UPDATED = tuple(
    Pointer(METRICS, f"recalibrated.{key}", always=False)
    for key in ("cases", "told", "correction", "source_sha256")
)
EXCLUSIONS = (Pointer(EXCLUDED, "reason"),)
NO_PARTICIPANTS = "phantoms, which have no participants"


def by_data(facts: Facts) -> str:
    """Say whether the model was fitted and tested on one folder."""
    if facts["same_data"] is None:
        return ""
    same = "Fit and test read the same folder, the one its TRAIN and VAL, the other its TEST."
    return same if facts["same_data"] else "Fit and test read different folders."


def by_groups(facts: Facts) -> str:
    """Say which groups of people and places figures are told of."""
    return f"Groups by: {', '.join(facts['groups'])}." if facts["groups"] else ""


def without_groups(facts: Facts) -> str:
    """Say where no group of people or places is known."""
    known = "" if facts["groups"] else "the list of clips has no column such as Site, Sex or Age"
    return f"{known}: see --data.subgroups" if known else ""


def without_other_data(facts: Facts) -> str:
    """Say where a model was tested on the folder that it was fitted on alone."""
    if facts["external"] or not facts["same_data"]:
        return ""
    return "fit and test read the same folder: python -m lvef external judges on another"


def without_own_data(facts: Facts) -> str:
    """Say where a model was tested on another folder than it was fitted on."""
    return "fit and test read different folders" if facts["same_data"] is False else ""
