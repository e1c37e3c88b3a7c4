"""`--help` of every command: at once, from pages that are what the parsers say."""

import subprocess
import sys

import pytest

from lvef.cli import command_help, help_pages
from lvef.cli.commands import LIGHTNING_COMMANDS, OTHER_COMMANDS, main, page_of
from lvef.cli.write_help import COMMANDS, rendered

ANEW = "stale: write the pages anew by python -m lvef.cli.write_help"


def printed(capsys, *words):
    """Return what a command prints before it ends by itself."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_is_what_the_parser_says(command):
    assert help_pages.file_of(page_of(command)).read_text() == rendered(command), ANEW


def test_every_page_is_of_a_command():
    assert {file.stem for file in help_pages.FOLDER.iterdir()} == {*map(page_of, COMMANDS)}
    assert {*COMMANDS} == {*LIGHTNING_COMMANDS, *OTHER_COMMANDS}


@pytest.mark.parametrize("asking", ["--help", "-h"])
@pytest.mark.parametrize("command", ["fit", "predict", "table"])
def test_help_is_answered_before_anything_slow_is_imported(command, asking):
    script = (
        f"import sys; from lvef.cli.commands import main\ntry: main(['{command}', '{asking}'])\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'jsonargparse'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == help_pages.file_of(page_of(command)).read_text() + "[]\n"


def test_where_something_stands_beside_help_or_no_page_is_there_the_parser_answers(
    capsys, tmp_path, monkeypatch
):
    page = printed(capsys, "verify", "--help")
    monkeypatch.setattr(help_pages, "FOLDER", tmp_path)
    (tmp_path / "verify.txt").write_text("a page of before")
    assert printed(capsys, "verify", "-h") == "a page of before"
    assert printed(capsys, "verify", "run", "--help") == page
    (tmp_path / "verify.txt").unlink()
    assert printed(capsys, "verify", "--help") == page


def test_a_page_tells_every_option_its_values_and_its_default(capsys):
    page = printed(capsys, "report", "--help")
    assert "usage: python -m lvef report SOURCE [options]" in page
    assert "--heat_map {gradcam,hirescam,integrated_gradients,auto,null}" in page
    assert "for it. (auto)" in page
    assert "--analyse {true,false}" in page
    assert max(map(len, page.splitlines())) <= command_help.WIDTH
    usage, *_ = printed(capsys, "recalibrate", "--help").splitlines()
    assert usage.endswith("recalibrate --root ROOT --output OUTPUT [options]")
