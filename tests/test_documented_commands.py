"""Every command of the documents works, small: clips, epochs and processes are fewer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pandas as pd
import pytest
from documented import Sandbox, to_run
from documents import SHELL, Block, Command, blocks, documents, is_script

SCRIPTS = [block for path in documents() for block in blocks(path, *SHELL) if is_script(block)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """A folder in which the commands find what they name."""
    made = Sandbox(tmp_path_factory.mktemp("documents"))
    made.prepare()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("command", to_run(), ids=str)
def test_every_command_of_the_documents_works(command: Command, sandbox: Sandbox):
    assert sandbox.run(command) == 0, command.where


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [b for path in documents() for b in blocks(path, "python") if path.name == "README.md"],
    ids=lambda block: f"{block.document}:{block.line}",
)
def test_every_python_example_of_the_documents_works(block: Block, sandbox: Sandbox, monkeypatch):
    monkeypatch.chdir(sandbox.folder)
    if "mimic-iv-echo" in block.text:
        _measured_studies(Path("mimic-iv-echo"))
    exec(compile(block.text, f"{block.document}:{block.line}", "exec"), {})


def _measured_studies(root: Path) -> None:
    """Write the lists of MIMIC-IV-ECHO that its EFs are made of, with one study."""
    root.mkdir(exist_ok=True)
    (root / "echo-study-list.csv").write_text("study_id,measurement_id\n94106955,7\n")
    measured = pd.DataFrame({"measurement_id": ["7"], "measurement": ["lvef"], "result": ["55"]})
    measured.to_csv(root / "structured-measurement.csv.gz", index=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda block: f"{block.document}:{block.line}")
def test_every_script_of_the_documents_is_one_that_bash_reads(script: Block, tmp_path: Path):
    file = tmp_path / "job.sh"
    file.write_text(script.text)
    subprocess.run(["bash", "-n", str(file)], check=True)
    asked = [line for line in script.text.splitlines() if line.startswith("#SBATCH ")]
    assert asked, "a job says what it needs"
