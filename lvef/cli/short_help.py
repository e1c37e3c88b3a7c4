"""`fit --help`: the options that matter, on a screen or two; `--help=all` shows every one."""

from __future__ import annotations

import re
import textwrap
from argparse import Action
from typing import Any

ALL = "--help=all"
_WIDTH, _INDENT = 98, 30
_SECTIONS: dict[str, tuple[str, ...]] = {
    "What is done": ("config", "model", "ckpt_path", "print_config", "experiment",
                     "seed_everything"),
    "Data": ("data.root", "data.labels", "data.layout", "data.frames", "data.batch_size",
             "data.num_workers", "data.image_size", "data.folds", "data.fold", "data.subgroups",
             "data.check_videos", "data.frame_cache"),
    "New clips (predict)": ("data.videos", "data.keyframes", "data.fps", "data.segmenter",
                            "data.save_overlays", "saliency", "anonymize"),
    "Training": ("trainer.max_epochs", "early_stopping.patience", "trainer.fast_dev_run",
                 "trainer.limit_train_batches", "trainer.logger", "trainer.default_root_dir"),
    "Machines": ("trainer.accelerator", "trainer.devices", "trainer.strategy",
                 "trainer.num_nodes", "trainer.precision"),
}  # fmt: skip
_WORDS = {
    "model": "A task: its name or class path; its options as --model.NAME",
    "ckpt_path": "A checkpoint, or best, last or hpc of the newest run; fit goes on from it",
    "print_config": "Print the configuration and exit",
    "seed_everything": "Seed of all random numbers",
    "trainer.max_epochs": "Epochs at most",
    "early_stopping.patience": "Epochs without a better VAL after which a fit ends",
    "trainer.fast_dev_run": "Try one batch of everything, or as many as it says",
    "trainer.limit_train_batches": "Batches, or their share, an epoch trains on",
    "trainer.logger": "A logger by name or class path, or false for none",
    "trainer.default_root_dir": "Folder of all runs",
    "trainer.accelerator": "cpu, gpu, mps, or what is there",
    "trainer.devices": "How many devices, which, or all",
    "trainer.strategy": "How several devices work together, such as ddp",
    "trainer.num_nodes": "Machines",
    "trainer.precision": "32-true, bf16-mixed or 16-mixed; on a CPU what is fastest there",
}
"""What Lightning's own options are called here: their texts are of all trainers."""
_FIRST_SENTENCE = re.compile(r"(.+?[.;])(?=\s|$)", re.S)
_TELLS_TYPE = re.compile(r"\s*\((?:type|default|required|known)\b.*", re.S)


def short_help(parser: Any) -> str:
    """Return the help of the options that matter, with their defaults.

    Args:
        parser: The parser of the command; it says what options there are, what they mean and which
            defaults they have.
    """
    actions = {action.dest: action for action in parser._actions}
    lines = [f"usage: {parser.usage}", "", *textwrap.wrap(parser.description or "", _WIDTH)]
    for title, names in _SECTIONS.items():
        shown = [actions[name] for name in names if name in actions]
        if shown:
            lines += ["", f"{title}:"]
            lines += [line for action in shown for line in _lines(action, parser)]
    lines += ["", f"{ALL} shows all others; --model.help TASK those of a task."]
    return "\n".join(lines) + "\n"


def _lines(action: Action, parser: Any) -> list[str]:
    """Return what is said of an option, in lines."""
    name = next(text for text in action.option_strings if text.startswith("--"))
    text = _TELLS_TYPE.sub("", " ".join((action.help or "").split())).replace("``", "")
    sentence = _FIRST_SENTENCE.match(text)
    told = _WORDS.get(action.dest, (sentence[1] if sentence else text).rstrip(".:;"))
    told = told.replace("%%", "%")
    default = parser.get_defaults().get(action.dest) if action.dest in _known(parser) else None
    if default not in (None, "", False):
        told += f" ({default})"
    body = textwrap.wrap(told, _WIDTH - _INDENT)
    first = f"  {name}".ljust(_INDENT)
    if len(first.rstrip()) >= _INDENT or not body:
        return [first.rstrip(), *(" " * _INDENT + line for line in body)]
    return [first + body[0], *(" " * _INDENT + line for line in body[1:])]


def _known(parser: Any) -> set[str]:
    return set(parser.get_defaults().keys())
