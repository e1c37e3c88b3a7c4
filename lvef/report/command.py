"""`python -m lvef report`: a run, or predictions, as one HTML page."""

from __future__ import annotations

from pathlib import Path

import yaml

from lvef.data.phantom_folder import refuse_other_generator
from lvef.errors import ConfigurationError
from lvef.figures import gallery
from lvef.files import make_room, write_text
from lvef.models.attribution import Method
from lvef.options import NOT_NEGATIVE, check_numbers
from lvef.report.collect import AUTO, Auto, report_cases
from lvef.report.figures import test_figures
from lvef.report.key import check_unused, key_path, key_table, write_key
from lvef.report.privacy import scrubbed
from lvef.report.render import Page, render
from lvef.report.run import Run, read_run
from lvef.report.summary import model_facts, summary, tiles, title

_FOR = (
    "bright where the frame speaks for the answer that was given (a class, or an EF above or below "
    "the mean of the training data)."
)
_MEANING = (
    " They show what moved the model, not what is diseased. All frames of a case share one scale."
)
_HEAT: dict[str | None, str] = {
    None: "There are no heat maps.",
    "gradcam": "Heat maps are Grad-CAM on the backbone's last stage, as coarse as its cells (of "
    f"ResNet-50 4 x 4 of a frame of 112 pixels): {_FOR}{_MEANING}",
    "hirescam": "Heat maps are HiResCAM on the backbone's stage of maps an eighth as wide as the "
    f"frame (14 x 14 cells of 112 pixels): {_FOR}{_MEANING}",
    "integrated_gradients": "Heat maps are integrated gradients from a blurred frame: bright where "
    f"structure changed the answer most, for or against it.{_MEANING}",
}
_HEAT[AUTO] = _HEAT["hirescam"]


def report(
    source: Path,
    output: Path = Path("report.html"),
    root: str | None = None,
    ckpt_path: Path | None = None,
    heat_map: Method | Auto | None = AUTO,
    analyse: bool = False,
    max_pictures: int | None = None,
    key: Path | None = None,
    anonymize: Path | None = None,
) -> Path:
    """Write a run, or predictions, as one HTML page that needs nothing else.

    It opens from disk, loads nothing from a network, and holds summary, figures, and every case
    with its frames, heat maps, contours and the reasons for review. Cases are numbered; which file
    each is stands in a CSV file of its own, which never lies beside the page.

    Args:
        source: Log folder of `test` or `predict`, or the predictions.csv in it.
        output: The page, an .html file.
        root: Folder of labelled clips, where it is not where the run had it.
        ckpt_path: Checkpoint for the heat maps, where it is not where the run had it.
        heat_map: hirescam, gradcam, integrated_gradients (slow), or null for none; auto takes
            HiResCAM where the backbone has maps for it.
        analyse: Find contours and beats in the clips of a test too, about a second each.
        max_pictures: Most cases shown with pictures; all by default.
        key: CSV file that says which file each case is, in another folder than the page; by
            default it goes into the log folder.
        anonymize: CSV file that says where the clip of each number lies, where `analyse
            --anonymize` numbered them; without it their pictures are left out.
    """
    _check(output, max_pictures)
    run = read_run(source)
    _check_folder(run, root)
    key = key_path(run.folder, output, key)
    numbers = key_table(run.cases["video"])
    check_unused(key, numbers)
    for path in (key, output):  # before the minutes that end in it
        make_room(path)
    cases = report_cases(run, root, ckpt_path, heat_map, analyse, max_pictures, anonymize)
    heading = title(run, cases)
    figures = test_figures(run, root, heading) if run.tested else {}
    config = _config(run)
    page = Page(
        heading="Test of a model of EF" if run.tested else "Predicted ejection fraction",
        title=heading,
        phantom=run.metadata.phantom,
        trained_on=run.metadata.trained_on,
        notes=run.notes,
        headline=tiles(run, cases),
        summary=summary(run),
        baseline=run.metadata.baseline,
        subgroups=run.metadata.subgroups,
        review=[
            *filter(None, [run.metadata.methods]),
            *run.metadata.clinical,
            *run.metadata.review,
            *run.metadata.uncertainty,
            *run.metadata.promise,
        ],
        figures=[
            (gallery.NAMES[name], gallery.CAPTIONS[name], figure)
            for name, figure in figures.items()
        ],
        cases=cases,
        threshold=run.metadata.threshold,
        level=100 * run.metadata.level,
        model_facts=model_facts(run),
        heat_words=_HEAT[heat_map if any(f.heat for c in cases for f in c.frames) else None],
        config=config,
    )
    write_key(key, numbers)  # first: a page without its key is of no use
    write_text(output, render(page))
    print(f"{len(cases)} cases, {output.stat().st_size / 1e6:.1f} MB.")
    print(f"Which file each case is stands in {key.resolve()}: do not pass it on with the page.")
    return output


def _check(output: Path, max_pictures: int | None) -> None:
    """Refuse what cannot be written, before anything is read."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"--output {output}: the page is an .html file")
    if output.is_dir():
        raise ConfigurationError(f"--output {output} is a folder; name the page in it")
    check_numbers("--", {"max_pictures": NOT_NEGATIVE}, {"max_pictures": max_pictures})


def _check_folder(run: Run, root: str | None) -> None:
    """Refuse a folder of phantoms of another version: its clips may not be those of the run."""
    where = root or run.data.get("root")
    if isinstance(where, str) and (run.tested or run.data.get("videos") is None):
        refuse_other_generator(where)


def _config(run: Run) -> str:
    """Return the config as it may be shown; empty, with a note, where it cannot be."""
    if not run.config:
        return ""
    try:
        return yaml.safe_dump(scrubbed(run.config), sort_keys=False)
    except (ConfigurationError, RecursionError):
        run.notes.append("config.yaml holds more than a config does: it is left out.")
        return ""
