"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

CONFIGS = Path(__file__).parents[1] / "configs"
SMALL = ["--data.image_size", "32", "--data.num_workers", "0", "--data.batch_size", "8"]


def told(error: str) -> list[str]:
    """Return the lines that tell an error."""
    return [line for line in error.splitlines() if line.startswith("error: ")]


def words(command: str, config: str, root: Path, logs: Path, *more: str) -> list[str]:
    """Return a small command on phantoms."""
    return [
        command, "--config", str(CONFIGS / f"{config}.yaml"), "--config",
        str(CONFIGS / "phantom.yaml"), "--data.root", str(root), "--trainer.default_root_dir",
        str(logs), "--trainer.max_epochs", "1", *SMALL, *more,
    ]  # fmt: skip


def newest(folder: Path, name: str) -> Path:
    """Return the newest file of a name under a folder."""
    return max(folder.rglob(name), key=lambda path: path.stat().st_mtime)
