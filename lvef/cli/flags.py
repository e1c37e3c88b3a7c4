"""Options that need no value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import zip_longest


def with_true(words: Sequence[str], flags: Collection[str]) -> list[str]:
    """Return the words of a command, where a flag without a value says true.

    Args:
        words: Command and options.
        flags: The options that may be flags, with their dashes.
    """
    spelt = []
    for word, following in zip_longest(words, words[1:], fillvalue="--"):
        spelt.append(word)
        if word in flags and following.startswith("-"):
            spelt.append("true")
    return spelt
