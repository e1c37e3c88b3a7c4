"""Options within an option of a model: their values arrive as they were typed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import yaml

_NESTED = re.compile(
    r"(--(?:model|data)\.(?:init_args\.)?(?!init_args\.)[\w.]+)\.(\w+)(?:=(.*))?", re.S
)
_OF_CLASSES = (".arguments", ".schedule_arguments")
"""Options whose parts are what a class is made with, of a user's own or a library's."""


def as_typed(words: Sequence[str]) -> list[str]:
    """Return the words of a command, so that null arrives as None wherever it stands.

    jsonargparse reads the value of an option within an option of a class, such as
    `--model.backbone.weights`, as YAML, and hands on what Python prints of it: null becomes the
    text None, and the name `[a]` the text `['a']`. As a part of the outer option,
    `--model.backbone {"weights": "null"}`, it arrives as it was typed. All other values are left
    alone.

    Args:
        words: Command and options.
    """
    typed, waiting = [], list(words)
    while waiting:
        word = waiting.pop(0)
        nested = _NESTED.fullmatch(word)
        if nested is None or nested[1].endswith(_OF_CLASSES):
            typed.append(word)
            continue
        option, name, value = nested.groups()
        if value is None:
            following = waiting[0] if waiting else None
            if following is None or not _is_changed(following):
                typed.append(word)
                continue
            value = waiting.pop(0)
        typed += [option, json.dumps({name: value})] if _is_changed(value) else [word]
    return typed


def _is_changed(value: str) -> bool:
    """Return whether YAML makes none, a list or a mapping of a text."""
    if not value.strip():
        return False
    try:
        return not isinstance(yaml.safe_load(value), (str, int, float, bool))
    except yaml.YAMLError:
        return False
