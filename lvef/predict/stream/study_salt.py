"""Names of studies that tell nothing of what they are made from: hashes, with an owner's salt."""

from __future__ import annotations

import hmac
import os
import re
import stat
import warnings
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from tempfile import mkstemp

from lvef.errors import ConfigurationError, OutputError
from lvef.predict.numbers import held

SALT = "study.salt"
"""What the file is called where none is named."""
_BYTES = 32
_KEY = 32
"""Digits of a hash: 128 bits, so that no two studies of any archive share one."""
_SHOWN = 16
"""Digits of them in a name."""


class StudySalt:
    """Hashes what tells a study, HMAC-SHA256 with a random salt that stays with its owner.

    The same salt gives the same study the same name in every run. Without it nobody can try which
    StudyInstanceUID, or which folder, a name is made from.

    Args:
        path: The file of the salt, which its owner alone may read (mode 0600); it is made, or gone
            on with. Several processes may do so at once.

    Raises:
        ConfigurationError: It cannot be read, or is no salt.
        OutputError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        with held(path):
            if not path.exists():
                _write(path, token_hex(_BYTES))
            self._salt = _read(path)

    @property
    def mark(self) -> str:
        """Tells this salt from any other, and nothing of what it is."""
        return blake2b(self._salt, digest_size=16, person=b"lvef salt").hexdigest()

    def hashed(self, text: str) -> str:
        """Return the hash of what tells a study, 32 hexadecimal digits."""
        data = text.encode("utf-8", "surrogateescape")
        return hmac.new(self._salt, data, "sha256").hexdigest()[:_KEY]


def hashed_name(key: str) -> str:
    """Return what a study is called by its hash."""
    return f"study_{key[:_SHOWN]}"


def salt_place(given: str | None, output: Path, anonymize: str | None, known: str | None) -> Path:
    """Return where the salt of a run lies.

    Args:
        given: `--study_salt`.
        output: What tables go into.
        anonymize: `--anonymize`: the salt must then lie elsewhere than the output, and does so
            beside the key where it is not named.
        known: `StudySalt.mark` of what named the studies that lie there; None where nothing did.

    Raises:
        ConfigurationError: It would lie in an output that is passed on, or is gone.
    """
    if given is not None:
        path = Path(given).expanduser()
    elif anonymize is not None:
        key = Path(anonymize).expanduser()
        path = key.with_name(f"{key.stem}.{SALT}")
    else:
        path = output / SALT
    if anonymize is not None and output.resolve() in path.resolve().parents:
        raise ConfigurationError(
            f"--study_salt {path} lies in --output, which is anonymised: it lets others try which "
            "study each name is, so name a file elsewhere"
        )
    if known is not None and not path.exists():
        raise ConfigurationError(
            f"--study_salt {path} is not there, and it named the studies in {output}: give the "
            "file of then, or another --output"
        )
    return path


def _write(path: Path, salt: str) -> None:
    """Write a salt, whole or not at all, that nobody else could read at any time."""
    try:
        handle, unfinished = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{salt}\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            Path(unfinished).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError.of(path, error) from error


def _read(path: Path) -> bytes:
    try:
        text = path.read_text(encoding="ascii").strip()
        open_to_others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(
            f"--study_salt {path} cannot be read ({why}): let this user read it, or name another"
        ) from error
    if not re.fullmatch(rf"[0-9a-f]{{{2 * _BYTES}}}", text):
        raise ConfigurationError(
            f"--study_salt {path} is no salt of an earlier run, {2 * _BYTES} hexadecimal digits: "
            "name another file"
        )
    if open_to_others and os.name == "posix":
        warnings.warn(f"{path} can be read by others than its owner: chmod 600", stacklevel=3)
    return bytes.fromhex(text)
