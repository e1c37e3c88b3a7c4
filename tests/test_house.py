"""The rooms of the house: who may import whom, and what one room alone knows."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import lvef

PACKAGE = Path(lvef.__file__).parent
GROUND = (
    "errors",
    "files",
    "options",
    "streams",
    "run_files",
    "stopping",
    "circumstances",
    "precision",
    "runs",
    "notice",
)
MAY_IMPORT = {
    "cardiac": (),
    "columns": (),
    "data": ("cardiac", "columns", "errors", "files", "options", "run_files", "streams"),
    "phantom": ("cardiac", "data", "errors", "files", "options", "streams"),
    "evaluation": ("cardiac", "columns", "notice"),
    "figures": ("cardiac", "columns", "evaluation", "notice"),
    "models": ("figures", "evaluation", "cardiac", "columns", "errors", "options", "precision",
               "notice"),
    "analysis": ("models", "evaluation", "cardiac", "columns", "errors", "notice"),
    "predict": ("data", "analysis", "models", "evaluation", "cardiac", "columns", "errors",
                "files", "options", "run_files", "notice", "stopping", "streams"),
    "callbacks": ("predict", "data", "models", "evaluation", "figures", "cardiac", "columns",
                  *GROUND),
    "export": ("models", "evaluation", "cardiac", "columns", *GROUND),
    "report": ("callbacks", "predict", "analysis", "models", "figures", "evaluation", "phantom",
               "data", "cardiac", "columns", "lvef", *GROUND),
    "pretraining": ("predict", "analysis", "models", "figures", "evaluation", "phantom", "data",
                    "cardiac", "columns", *GROUND),
    "experiments": ("pretraining", "report", "export", "callbacks", "predict", "analysis",
                    "models", "figures", "evaluation", "phantom", "data", "cardiac", "columns",
                    "lvef", *GROUND),
    "testing": ("experiments", "export", "report", "callbacks", "predict", "analysis", "models",
                "evaluation", "phantom", "data", "cardiac", "columns", "lvef", *GROUND),
    "lvef": ("predict", "analysis", "models", "errors"),
    "cli": ("experiments", "pretraining", "report", "export", "testing", "callbacks", "predict",
            "analysis", "models", "figures", "evaluation", "phantom", "data", "cardiac",
            "columns", "lvef", *GROUND),
    "__main__": ("cli",),
}  # fmt: skip
"""Rooms from the ground floor up, and what each may import, as DESIGN.md has it; `lvef` is what the
package itself offers, by names that are imported once they are asked for."""
OPEN_DOORS = {
    ("data", "predict"): "lvef.data.datamodule is where earlier configs have EchoNetDataModule",
    ("analysis", "data"): "a prepared clip, its sector and the pictures of it are of data",
    ("experiments", "cli"): "`table` runs `fit` and `test` as the command line does",
}
"""Steps that are not in the plan yet, and why they are there: to be struck."""
OPEN_CIRCLES = {
    frozenset(
        {"lvef.analysis.overlay", "lvef.analysis.plot", "lvef.analysis.result"}
    ): "types of each other",
}
"""Modules that import each other, likewise."""


@cache
def modules():
    """Return the syntax tree of every module of the package, by name."""
    trees = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ["lvef", *path.relative_to(PACKAGE).with_suffix("").parts]
        trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(
            path.read_text(), str(path)
        )
    return trees


def named(node):
    """Return the modules that a statement imports; names within a module are that module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        full = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in modules() else node.module for name in full]
    if isinstance(node, ast.Constant) and str(node.value).count(".") > 1:  # as `import_module` does
        return [node.value] if node.value in modules() else []
    return []


@cache
def imports():
    """Return what every module imports, at its head, in a function or for its types."""
    return {
        name: {other for node in ast.walk(tree) for other in named(node)} - {name}
        for name, tree in modules().items()
    }


def room(module):
    return module.split(".")[1] if "." in module else module


def doors():
    """Return every step from room to room, with the modules that take it."""
    steps = {}
    for name, others in imports().items():
        for other in others & modules().keys():
            if room(name) != room(other):
                steps.setdefault((room(name), room(other)), []).append(f"{name} -> {other}")
    return steps


def circles(edges):
    """Return the sets of modules that import each other, over however many others (Tarjan)."""
    number, lowest, stack, found = {}, {}, [], []

    def visit(module):
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in edges.get(module, ()):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            circle = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(circle) > 1:
                found.append(frozenset(circle))

    for module in edges:
        if module not in number:
            visit(module)
    return found


def test_every_module_lies_in_a_room_that_the_plan_knows():
    assert {room(name) for name in modules()} <= {*MAY_IMPORT, *GROUND}


def test_the_plan_has_no_step_upward():
    order = [*GROUND, *MAY_IMPORT]
    for name, below in MAY_IMPORT.items():
        upward = [other for other in below if order.index(other) >= order.index(name)]
        assert not {*upward} - {"lvef"}, name  # its name alone, for where the package lies


def test_no_room_imports_what_the_plan_does_not_let_it():
    strange = {
        step: modules for step, modules in doors().items()
        if step[1] not in MAY_IMPORT.get(step[0], GROUND) and step not in OPEN_DOORS
    }  # fmt: skip
    assert not strange


def test_the_ground_imports_the_ground_alone():
    for step, users in doors().items():
        if step[0] in GROUND:
            assert step[1] in GROUND, users


def test_what_is_open_still_is():
    shut = [step for step in OPEN_DOORS if step not in doors()]
    shut += [sorted(circle) for circle in OPEN_CIRCLES if circle not in circles(imports())]
    assert not shut, "strike these from the lists above"


def test_no_modules_import_each_other():
    edges = {name: others & modules().keys() for name, others in imports().items()}
    assert not set(circles(edges)) - set(OPEN_CIRCLES)


def test_a_circle_and_a_lazy_import_would_be_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [frozenset("abc")]
    assert not circles({"a": {"b", "c"}, "b": {"c"}, "c": set()})
    lazy = ast.parse(
        "def f():\n    from lvef.data import formats\n    import lvef.models.task\n"
        "    import_module('lvef.predict.find')"
    )
    seen = [other for node in ast.walk(lazy) for other in named(node)]
    assert sorted(seen) == ["lvef.data.formats", "lvef.models.task", "lvef.predict.find"]


@pytest.mark.parametrize(
    ("libraries", "homes"),
    [
        # Which FFmpeg PyAV carries is a circumstance of a run.
        ({"av", "decord", "pydicom", "nibabel"}, {"lvef.data.formats", "lvef.circumstances"}),
        ({"highdicom"}, {"lvef.predict.dicom_out"}),
        ({"matplotlib"}, {"lvef.figures", "lvef.analysis", "lvef.report", "lvef.callbacks",
                          "lvef.files", "lvef.models"}),  # models name the type of a figure
    ],
)  # fmt: skip
def test_a_library_is_known_in_its_home_alone(libraries, homes):
    users = {
        name for name, others in imports().items()
        if {other.split(".")[0] for other in others} & libraries
    }  # fmt: skip
    assert {name for name in users if not name.startswith(tuple(homes))} == set()


@pytest.mark.parametrize("name", ["cardiac", "phantom", "evaluation", "figures", "analysis"])
def test_a_room_of_plain_functions_knows_no_lightning(name):
    users = [module for module, others in imports().items() if room(module) == name
             and any(other.split(".")[0] == "lightning" for other in others)]  # fmt: skip
    assert users == []


def test_cardiac_is_functions_on_arrays():
    allowed = {"numpy", "scipy", "cv2", "lvef", *sys.stdlib_module_names}
    used = {
        other.split(".")[0] for name, others in imports().items() for other in others
        if room(name) == "cardiac"
    }  # fmt: skip
    assert used <= allowed


@pytest.mark.parametrize(
    ("fact", "homes"),
    [
        ("FileList.csv", {"data/layouts/echonet", "phantom/folder.py"}),
        ("VolumeTracings.csv", {"data/layouts/echonet", "phantom/folder.py"}),
        ("phantom.json", {"data/phantom_folder.py", "phantom/folder.py"}),
        ('"Truth"', {"data/phantom_folder.py"}),
    ],
)
def test_a_fact_has_one_home(fact, homes):
    users = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")
             if fact in path.read_text()}  # fmt: skip
    assert {user for user in users if not user.startswith(tuple(homes))} == set()


def test_evaluation_loads_no_matplotlib_but_what_torchmetrics_does():
    names = [name for name in modules() if room(name) == "evaluation"]
    code = (
        "import sys, torchmetrics.functional.classification; before = set(sys.modules); "
        f"import {', '.join(names)}; "
        "print([name for name in set(sys.modules) - before if 'matplotlib' in name])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert run.stdout.strip() == "[]"


def test_colours_of_figures_stand_once():
    named = re.compile(r'"#[0-9a-fA-F]{3,8}"')
    assert [path.name for path in (PACKAGE / "figures").glob("*.py")
            if named.search(path.read_text())] == ["style.py"]  # fmt: skip
