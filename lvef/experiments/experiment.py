"""One experiment of the table: fitted and tested, gone on with, or reused as it was made before."""

from __future__ import annotations

import json
import sys
import time
from hashlib import sha1
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from lvef.callbacks.run_record import record_of
from lvef.cli.commands import run_lightning
from lvef.data.layouts import find_layout
from lvef.errors import CheckpointError, ConfigurationError
from lvef.files import write_json
from lvef.models.loading import describe_checkpoint
from lvef.models.own_class import is_class_path
from lvef.models.source import source_digest
from lvef.runs import next_run


def fit_and_test(name: str, made_from: dict[str, Any], output: Path) -> dict[str, Any]:
    """Fit and test one experiment, or return what it gave before from the same settings."""
    # A name of its own for other settings, so that a quick look does not replace what took hours.
    settings = sha1(json.dumps(made_from["words"]).encode()).hexdigest()[:8]
    done = output / name / f"done_{settings}.json"
    before = _read_begun(done, made_from)
    if before and all(Path(before[part]).is_file() for part in ("checkpoint", "cases")):
        return before
    words = made_from["words"]
    fitted = fit_experiment(done.with_suffix(".begun"), made_from)
    test = run_lightning(["test", *words, "--ckpt_path", fitted["checkpoint"]])
    tested = Path(test.trainer.log_dir)
    metrics = json.loads((tested / "metrics.json").read_text())
    result = {
        "made_from": made_from,
        **fitted,
        "ms_a_case": record_of(tested).get("ms_a_case"),
        "cases": str(tested / "cases.csv"),
        **metrics,
    }
    write_json(done, result)
    done.with_suffix(".begun").unlink()
    return result


def fit_experiment(begun: Path, made_from: dict[str, Any]) -> dict[str, Any]:
    """Fit one experiment, from where an interrupted fit of the same settings stopped.

    Args:
        begun: File that says how far it came.
        made_from: The settings.

    Returns:
        Its `checkpoint`, the `minutes` it took, the `peak_memory_mb` of its process, and `val`,
        metric and value of the best epoch.
    """
    runs = begun.parent
    runs.mkdir(exist_ok=True)
    before = _read_begun(begun, made_from)
    if "fitted" in before:
        return dict(before["fitted"])
    last = Path(before.get("folder", "")) / "checkpoints" / "last.ckpt"
    words, earlier = list(made_from["words"]), 0.0
    if before and _readable(last):
        words += ["--ckpt_path", str(last)]
        earlier = before["minutes"] + max(last.stat().st_mtime - before["since"], 0.0) / 60
    else:
        before = {"folder": str(next_run(runs))}
        for other in runs.glob("*.begun"):  # an interrupted fit that never made its folder
            if _read_begun(other).get("folder") == before["folder"]:
                other.unlink()
    since = time.time()
    record = {"made_from": made_from, "folder": before["folder"]}
    write_json(begun, {**record, "minutes": earlier, "since": since})
    trainer = run_lightning(["fit", *words]).trainer
    chosen, memory = trainer.checkpoint_callback, record_of(Path(trainer.log_dir))
    fitted = {
        "minutes": earlier + (time.time() - since) / 60,
        "peak_memory_mb": memory.get("peak_memory_mb"),
        "checkpoint": chosen.best_model_path,
        "val": {"metric": chosen.monitor, "value": float(chosen.best_model_score)},
    }
    write_json(begun, {**record, "fitted": fitted})
    return fitted


def _read_begun(begun: Path, made_from: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a file says of an unfinished fit; nothing where it is one of other settings."""
    try:
        record: dict[str, Any] = json.loads(begun.read_text())
    except (OSError, ValueError):
        return {}
    if made_from is not None and record.get("made_from") != made_from:
        return {}
    if "fitted" in record and not Path(record["fitted"]["checkpoint"]).is_file():
        return {}
    return record


def _readable(checkpoint: Path) -> bool:
    try:
        describe_checkpoint(str(checkpoint))
    except CheckpointError:
        return False
    return True


def result_settings(
    words: list[str], built_on: list[str], configs: list[Path], root: Path
) -> dict[str, Any]:
    """Return what an experiment's result depends on, but for the videos.

    Of classes of a user's own that options or configs name, the content of their files counts.

    Args:
        words: Its options.
        built_on: Checkpoints that it is built on.
        configs: The configs among the options, and what they build on.
        root: Folder of the labels.
    """
    named = [word for config in configs for word in _named_in(config)]
    files = [Path(word) for word in (*words, *built_on, *named) if Path(word).is_file()]
    files += [config for config in configs if config not in files]
    files += find_layout(root).label_files(root)
    sources = _sources([*words, *named])
    return {
        "words": words,
        "files": _stamps(files),
        "version": version("lvef"),
        **({"sources": sources} if sources else {}),  # rows without any are as before
    }


def _sources(texts: list[str]) -> dict[str, str]:
    """Return, by class path, the digest of the file of every class outside this package."""
    found = {}
    for text in texts:
        module, _, name = text.rpartition(".")
        kind = getattr(sys.modules.get(module), name, None) if is_class_path(text) else None
        if isinstance(kind, type) and module.split(".")[0] != "lvef":
            found[text] = source_digest(kind)
    return dict(sorted(found.items()))


def _stamps(files: list[Path]) -> dict[str, list[int]]:
    """Return size and time of files: configs, weights and labels that a result depends on."""
    return {str(p): [p.stat().st_size, p.stat().st_mtime_ns] for p in files}


def videos_stamp(root: Path) -> list[int]:
    """Return number, total size and newest time of the videos of a folder, of any layout."""
    stats = [file.stat() for file in find_layout(root).clip_files(root)]
    return [len(stats), sum(s.st_size for s in stats), max(s.st_mtime_ns for s in stats)]


def _named_in(config: Path) -> list[str]:
    """Return every value of a config that may name a file, such as weights."""
    waiting: list[Any] = [read_config(config)]
    texts = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, (dict, list)):
            waiting += value.values() if isinstance(value, dict) else value
    return texts


def read_config(config: Path) -> dict[str, Any]:
    """Return what a config says.

    Raises:
        ConfigurationError: It is no config.
    """
    try:
        options = yaml.safe_load(config.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{config}: not readable as YAML") from error
    if not isinstance(options, dict):
        raise ConfigurationError(f"{config} holds no options")
    return options
