"""`sweep`: options that do best on VAL, found by Optuna in one study that several may share."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from platform import node
from typing import Any

from lightning import Callback, LightningModule, Trainer

from lvef.cli.commands import run_lightning
from lvef.data.names import expanded
from lvef.errors import ConfigurationError, LvefError
from lvef.experiments.search_space import Searched, read_search_space
from lvef.files import make_room, write_csv
from lvef.notice import NOT_FOR_DIAGNOSIS
from lvef.options import COUNT, SEED, check_numbers

_JOURNAL = ".journal"
_MOST_FAILED = 2
"""Trials that may fail before it is taken for no bad luck of one."""
_PATIENCE = 60
"""Seconds that a process waits for another one to be done with a file of SQLite's."""
_running: Any = None
"""The trial of this process that is being fitted, for `ReportsToStudy`."""


def sweep(
    config: str,
    search: Path,
    root: Path,
    output: Path = Path("sweep"),
    trials: int = 20,
    max_epochs: int | None = None,
    prune: bool = True,
    storage: str | None = None,
    seed: int = 0,
    more: str = "",
) -> Path:
    """Search the options of an experiment that do best on VAL.

    Each trial is a `fit` with options that Optuna's TPE sampler suggests; one that is worse at an
    epoch than the median of those before is pruned. Called again it goes on until there are as
    many trials as asked for, and several processes or machines share them. TEST is not touched:
    judge the best trial on it, once. Needs Optuna (the extra lvef[sweep]).

    Args:
        config: Name or file of the experiment's config.
        search: YAML file of the options that are tried, see lvef/experiments/README.md.
        root: Folder of labelled clips, or a list of them.
        output: Folder of the study, its runs and trials.csv.
        trials: How many trials there shall be in all, of all processes.
        max_epochs: Epochs a trial; by default as the config says.
        prune: End trials early that do worse than others did.
        storage: Where the study is kept, so that several share it: a file .journal on a disk that
            all see, postgresql://..., or sqlite:///FILE. By default OUTPUT/study.db, for the
            processes of one machine.
        seed: Seed of the sampler.
        more: Further options of `fit`, as they are typed, such as "--data.batch_size 16".

    Returns:
        `trials.csv`, a row a trial.

    Raises:
        ConfigurationError: Optuna is missing, or an option cannot work.
        LvefError: No trial could be fitted.
    """
    check_numbers("--", {"trials": COUNT, "seed": SEED, "max_epochs": COUNT},
                  {"trials": trials, "seed": seed, "max_epochs": max_epochs})  # fmt: skip
    optuna = _optuna()
    space = read_search_space(expanded(search))
    make_room(output / "trials.csv")
    study = optuna.create_study(
        storage=_storage(optuna, storage, output), study_name="lvef", load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=1) if prune
        else optuna.pruners.NopPruner(),
    )  # fmt: skip
    words = ["--config", config, "--data.root", str(root), *shlex.split(more)]
    words += ["--trainer.devices", "1", "--trainer.default_root_dir", str(output / "runs")]
    words += [] if max_epochs is None else ["--trainer.max_epochs", str(max_epochs)]
    _agree(study, {"config": config, "root": str(root), "more": more, "max_epochs": max_epochs,
                   "search": {each.option: repr(each) for each in space}})  # fmt: skip
    _run(optuna, study, trials, lambda trial: _fitted(optuna, trial, space, words))
    table = study.trials_dataframe(("number", "state", "value", "params", "user_attrs"))
    write_csv(output / "trials.csv", table)
    _tell(study, optuna.trial.TrialState)
    return output / "trials.csv"


class ReportsToStudy(Callback):
    """Tells the study what each epoch is worth on VAL, and ends a fit that is pruned."""

    def __init__(self) -> None:
        self.pruned = False

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report an epoch."""
        value = trainer.callback_metrics.get(str(pl_module.monitor))
        if trainer.sanity_checking or value is None or _running is None:
            return
        sign = -1.0 if pl_module.monitor_mode == "max" else 1.0
        _running.report(sign * float(value), trainer.current_epoch)
        if _running.should_prune():
            self.pruned = trainer.should_stop = True


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ConfigurationError("sweep needs Optuna: pip install 'lvef[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _storage(optuna: Any, given: str | None, output: Path) -> Any:
    """Return where the study is kept.

    Raises:
        ConfigurationError: It cannot be opened.
    """
    where = given or f"sqlite:///{output.absolute() / 'study.db'}"
    try:
        if where.endswith(_JOURNAL):
            make_room(Path(where))
            backend = optuna.storages.journal.JournalFileBackend(where)
            return optuna.storages.JournalStorage(backend)
        waiting = {"connect_args": {"timeout": _PATIENCE}} if where.startswith("sqlite") else None
        try:
            return optuna.storages.RDBStorage(where, waiting)
        except Exception:  # another process makes its tables at this moment
            time.sleep(1)
            return optuna.storages.RDBStorage(where, waiting)
    except Exception as error:  # whatever SQLAlchemy or a driver says of it
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigurationError(f"--storage {where}: {reason}") from error


def _agree(study: Any, asked: dict[str, Any]) -> None:
    """Keep what a study is of, or see that it is the same.

    Raises:
        ConfigurationError: Trials of something else would be in one study.
    """
    text = json.dumps(asked, sort_keys=True)
    before = study.user_attrs.get("of")
    if before is None:
        study.set_user_attr("of", text)
    elif before != text:
        differing = [name for name, value in json.loads(before).items() if asked[name] != value]
        raise ConfigurationError(
            f"the study there is of another {', '.join(differing)}: give another --output or "
            "--storage"
        )


def _run(optuna: Any, study: Any, trials: int, fitted: Callable[[Any], float]) -> None:
    """Fit trials until there are enough, or a signal asks for the end."""
    states = optuna.trial.TrialState
    _end_of_dead(study, states)
    counted, failed = (states.COMPLETE, states.PRUNED, states.RUNNING), 0

    def there() -> int:
        return len(study.get_trials(deepcopy=False, states=counted))

    while there() < trials:
        trial = study.ask()
        trial.set_user_attr("process", _this_process())
        if there() > trials:  # another process was as quick
            study.tell(trial, state=states.FAIL)
            continue
        try:
            study.tell(trial, fitted(trial))
        except optuna.TrialPruned:
            study.tell(trial, state=states.PRUNED)
        except BaseException as error:
            study.tell(trial, state=states.FAIL)
            failed += 1
            if not isinstance(error, LvefError) or failed > _MOST_FAILED:
                raise


def _end_of_dead(study: Any, states: Any) -> None:
    """End trials whose process, of this machine, was killed: others take their place."""
    here, _ = _this_process().split()
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        machine, _, pid = str(trial.user_attrs.get("process", "")).partition(" ")
        if machine == here and not _is_alive(int(pid)):
            study.tell(trial.number, state=states.FAIL)


def _this_process() -> str:
    return f"{node().replace(' ', '_')} {os.getpid()}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _fitted(optuna: Any, trial: Any, space: Sequence[Searched], words: list[str]) -> float:
    """Return what a trial is worth: the best of VAL, the less the better.

    Raises:
        TrialPruned: It was ended early.
    """
    global _running
    options = [word for each in space for word in _as_option(each, each.suggested(trial))]
    name = f"trial_{trial.number:04d}"
    callback = ["--trainer.callbacks+", "lvef.experiments.sweep.ReportsToStudy"]
    _running = trial
    try:
        trainer = run_lightning(["fit", *words, "--experiment", name, *callback, *options]).trainer
    finally:
        _running = None
    best = trainer.checkpoint_callback
    trial.set_user_attr("checkpoint", best.best_model_path)
    trial.set_user_attr("metric", best.monitor)
    if any(isinstance(each, ReportsToStudy) and each.pruned for each in trainer.callbacks):
        raise optuna.TrialPruned
    return (-1.0 if best.mode == "max" else 1.0) * float(best.best_model_score)


def _as_option(searched: Searched, value: Any) -> list[str]:
    return [f"--{searched.option}", value if isinstance(value, str) else json.dumps(value)]


def _tell(study: Any, known: Any) -> None:
    """Say what is best, and how it is judged and fitted."""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    done = sum(state == known.COMPLETE for state in states)
    pruned = sum(state == known.PRUNED for state in states)
    running = sum(state == known.RUNNING for state in states)
    elsewhere = f"; {running} are running in other processes" if running else ""
    print(f"{done} trials fitted, {pruned} pruned{elsewhere}.")
    with suppress(ValueError):  # there is none
        best = study.best_trial
        chosen = ", ".join(f"{name} {value}" for name, value in best.params.items())
        metric, value = best.user_attrs["metric"], abs(best.value)
        print(f"Best by VAL, trial {best.number}: {metric} {value:.4g} with {chosen}")
        print(
            "VAL chose it among all of them, so that its figure there is too good. Judge it on "
            f"TEST, once: python -m lvef test --ckpt_path {best.user_attrs['checkpoint']}"
        )
    print(NOT_FOR_DIAGNOSIS)
