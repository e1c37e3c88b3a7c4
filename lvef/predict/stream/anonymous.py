"""Clips by numbers in all that is written of them; which clip each number is, a key says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lvef.errors import ConfigurationError
from lvef.files import printable
from lvef.predict.numbers import check_key_place, number_places, place_of, secret_of
from lvef.predict.stream.inputs import ClipInput

_TELLING = 4
"""So many digits of a file's name are no frame number in a reason."""


class Anonymiser:
    """Calls clips by their numbers, the same in every process that has the same key.

    Args:
        key: CSV file `case, path`, see `number_places`; it is made, or gone on with.
        output: What is passed on, which the key must not lie in; None where that was seen to.
        known: `mark` of the key that numbered what lies there already; None where nothing does.

    Raises:
        ConfigurationError: The key would lie in `output`, is another, or is not there any more.
        DatasetError: There is a file of another kind where the key shall be.
        OutputError: The key cannot be written.
    """

    def __init__(
        self, key: str | Path, output: Path | None = None, known: str | None = None
    ) -> None:
        self.key = Path(key) if output is None else check_key_place(key, output, "--output")
        if known is not None and not self.key.exists():
            raise ConfigurationError(
                f"--anonymize {key} is not there, and {output} was numbered by a key: give that "
                "one, or another --output"
            )
        self._secret = secret_of(self.key)
        if known is not None and known != self.mark:
            raise ConfigurationError(
                f"{output} was numbered by another key than {key}: give that one, or another "
                "--output"
            )
        self._cases: dict[str, str] = {}

    @property
    def mark(self) -> str:
        """Tells this key from any other, and nothing of what stands in it."""
        return blake2b(self._secret, digest_size=16, person=b"lvef key").hexdigest()

    def number(self, clips: Iterable[ClipInput]) -> None:
        """Give each clip a number that has none, before any is worked on."""
        self._cases = number_places((place_of(clip.path) for clip in clips), self.key)

    def __call__(self, clips: Iterable[ClipInput]) -> Iterator[ClipInput]:
        """Yield clips by their numbers; one that came since they were given is for the next run."""
        for clip in clips:
            case = self._cases.get(place_of(clip.path))
            if case is not None:
                number = int(case.removeprefix("case_"))
                yield replace(clip, name=case, shown=case, case=number, secret=self._secret)


def without_names(clip: ClipInput, reason: str) -> str:
    """Return a reason without what names the clip's file, where it is called by a number.

    Args:
        clip: The clip.
        reason: Why it cannot be used.
    """
    if not clip.case or not reason:
        return reason
    if clip.a2c is not None:
        reason = without_names(replace(clip.a2c, name=clip.name, case=clip.case), reason)
    paths = {str(clip.path), os.path.abspath(clip.path), os.path.realpath(clip.path)}
    for path in sorted(paths, key=len, reverse=True):
        for spelt in (path, printable(path)):
            reason = reason.replace(spelt, clip.name)
    for name in {Path(path).name for path in paths}:
        if not name.isdecimal() or len(name) >= _TELLING:
            for spelt in (name, printable(name)):
                whole = rf"(?<!\w){re.escape(spelt)}(?!\w)"
                reason = re.sub(whole, clip.name, reason)
    return reason


def without_folders(made_with: dict[str, Any]) -> dict[str, Any]:
    """Return what made predictions, with files by their names alone."""
    own = {name: Path(str(made_with[name])).name for name in ("checkpoint", "segmenter")}
    return {**made_with, **own}


def check_names(before: bool, now: bool, output: Path) -> None:
    """Refuse names and numbers in one folder.

    Args:
        before: Whether the clips that lie there are called by numbers.
        now: Whether those that come to them shall be.
        output: The folder.

    Raises:
        ConfigurationError: They would be mixed.
    """
    if before == now:
        return
    what = (
        "is anonymised: give --anonymize with the key of then"
        if before
        else "holds clips by their names: do without --anonymize as then"
    )
    raise ConfigurationError(f"{output} {what}, or give another --output")
