"""`analyse` and `merge`: clips to tables, without a config and without Lightning."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from lvef import stopping
from lvef.errors import ConfigurationError, DatasetError

_ANALYSE = """\
Find the left ventricle, its beats and its EF in clips: AVI, MP4, DICOM and what else FFmpeg reads.
Writes predictions.csv (a row a clip), beats.csv (a row a beat), and a picture of each clip.
The same command again goes on where it was stopped, and takes in files that are new.
Research use only, not for diagnosis."""
_OBJECTS = ("dicom_sr", "dicom_seg")
_MERGE = """\
Join what several shards of `analyse`, or a `predict` that was killed, wrote into predictions.csv
and beats.csv."""


def analyse(words: Sequence[str]) -> None:
    """Analyse clips into a folder.

    Args:
        words: What follows the command.

    Raises:
        LvefError: The options, or what they name, cannot work.
    """
    asked = _analyse_parser().parse_args(list(words))
    from lvef.predict.stream.inputs import Shard, clip_inputs, listed_paths
    from lvef.predict.stream.studies import Studies, told_by

    of_list = asked.studies is not None and told_by(asked.studies) == "list"
    if not asked.paths and asked.list is None and not of_list:
        raise ConfigurationError(
            "analyse takes clips: files, folders or patterns, or --list or --studies FILE"
        )
    if asked.study_salt is not None and asked.studies is None:
        raise ConfigurationError("--study_salt is of --studies: give that, too, or leave it away")
    _check_objects(asked)
    where = [*asked.paths, *([] if asked.list is None else listed_paths(asked.list))]
    if of_list:
        where = list(dict.fromkeys([*where, *Studies.read(asked.studies).paths]))
    _check_places(asked, where)
    next(clip_inputs(where))  # is there one? Told before anything is loaded or made
    from lvef.predict.stream.archive import Archive, ArchiveOptions
    from lvef.predict.stream.pool import Limits

    shard = Shard.of_environment() if asked.shard is None else Shard.parse(asked.shard)
    options = ArchiveOptions(
        model=asked.model, segmenter=asked.segmenter, fps=asked.fps, keyframes=asked.keyframes,
        previews=not asked.no_previews, overlays=asked.overlays, workers=asked.workers,
        limits=Limits(asked.max_seconds, asked.max_memory), device=asked.device,
        trusted=tuple(asked.trusted), anonymize=asked.anonymize, studies=asked.studies,
        study_salt=asked.study_salt, fast=asked.fast, dicom_sr=asked.dicom_sr,
        dicom_seg=asked.dicom_seg,
    )  # fmt: skip
    archive = Archive(asked.output, options, shard)
    stopping.hold(lambda: True)  # what is in hand is ended first
    done = archive.run(where, stopping.asked)
    for remark in [*archive.search.remarks(None), *archive.remarks()]:
        print(remark, file=sys.stderr)
    print(
        f"{done.clips:,} clips: {done.ok:,} analysed, {done.refused:,} refused (no beating "
        f"four-chamber view was seen), {done.failed:,} could not be read."
    )
    if archive.manifest["made_with"].get("segmenter_remark"):
        print(archive.manifest["made_with"]["segmenter_remark"])
    if stopping.asked():
        print(f"Stopped; what is done lies in {asked.output}. The same command goes on.")
    elif shard.count > 1:
        print(f"Shard {shard} is done. When all are: python -m lvef merge {asked.output}")
        return
    with suppress(DatasetError) if stopping.asked() else nullcontext():  # before any clip
        _merge(asked.output, archive.manifest, whole=not stopping.asked())
    if asked.report and not stopping.asked():
        _report(asked)
    stopping.end_if_asked()


def _check_objects(asked: argparse.Namespace) -> None:
    """Refuse DICOM objects that cannot be written, or are not meant, before any clip is looked for.

    Raises:
        ConfigurationError: highdicom is not there, or clips shall be called by numbers.
    """
    given = [name for name in _OBJECTS if getattr(asked, name) is not None]
    if not given:
        return
    if asked.anonymize is not None:
        raise ConfigurationError(
            f"--{given[0]} with --anonymize: such objects name the patient of each clip, so that "
            "an archive can file them; write them in a run of their own, to another --output"
        )
    from lvef.predict.dicom_out import require_highdicom

    require_highdicom(f"--{given[0]}")


def _check_places(asked: argparse.Namespace, where: Sequence[str]) -> None:
    """Refuse folders of objects that lie among the clips.

    Raises:
        ConfigurationError: One does.
    """
    for name in _OBJECTS:
        if getattr(asked, name) is not None:
            from lvef.predict.stream.objects import check_apart

            check_apart(f"--{name}", Path(getattr(asked, name)), where)


def _report(asked: argparse.Namespace) -> None:
    """Write the page of all clips, in a folder without the key that names them."""
    from lvef.report.command import report

    page = asked.output / "report" / "report.html"
    (asked.output / f"{page.stem}.key.csv").unlink(missing_ok=True)  # of the page of before
    report(asked.output, page, ckpt_path=asked.model, anonymize=asked.anonymize)


def merge(words: Sequence[str]) -> None:
    """Join shards.

    Args:
        words: What follows the command.

    Raises:
        LvefError: There is none, or they cannot be read.
    """
    folder = _merge_parser().parse_args(list(words)).folder
    from lvef.predict.stream.manifest import MANIFEST, read_manifest
    from lvef.predict.stream.store import shards_of
    from lvef.run_files import PREDICTIONS

    manifest = read_manifest(folder / MANIFEST)
    there = len(shards_of(folder))
    whole = there >= manifest["shards"]
    if not whole:
        print(f"Only {there} of {manifest['shards']} shards are there: the tables are of these.")
    if "version" not in manifest and not (folder / PREDICTIONS).exists():  # predict's own
        print(
            "This `predict` was killed: the tables hold the clips that it was done with. Another "
            "begins anew in a run of its own; `analyse` goes on where it was stopped."
        )
    _merge(folder, manifest, whole)


def _merge(folder: Path, manifest: dict[str, Any], whole: bool) -> None:
    """Write tables, and the reports of studies where they are known to be whole."""
    from lvef.predict.stream.merge import merge_shards
    from lvef.predict.stream.study_reports import StudyReports

    made_with = manifest["made_with"]
    reports = StudyReports.of(folder, manifest) if whole else None
    clips, failed = merge_shards(folder, made_with, reports)
    for remark in [] if reports is None else reports.remarks():
        print(remark, file=sys.stderr)
    aside = f" ({failed:,} failed: see reason there)" if failed else ""
    and_studies = " and studies.csv" if made_with.get("studies") else ""
    print(f"Done: {folder / 'predictions.csv'}{and_studies}, {clips:,} clips{aside}")


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of `analyse` or `merge`."""
    return {"analyse": _analyse_parser, "merge": _merge_parser}[command]()


def _merge_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lvef merge", description=_MERGE)
    parser.add_argument("folder", type=Path, help="the --output of analyse, or the run of predict")
    return parser


def _analyse_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lvef analyse", description=_ANALYSE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "paths",
        nargs="*",
        metavar="PATH",
        help="clips: files, folders (with all below), patterns in quotes, a DICOMDIR",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="where everything goes")
    add("--list", metavar="FILE", help="a text file that names clips, one a line")
    add("--studies", metavar="BY",
        help="a row a study, too (studies.csv), with biplane EF where A4C and A2C are there: "
        "'folder' for a study a folder, 'dicom' by StudyInstanceUID, or a CSV file of study, view "
        "and path")  # fmt: skip
    add("--study_salt", metavar="FILE",
        help="what names of studies are hashed with; made where it is not there")  # fmt: skip
    add("--model", metavar="CKPT", help="a trained model of EF, asked beside the geometry")
    add("--segmenter", default="shipped", metavar="FILE", help="finds the beats (shipped)")
    add("--keyframes", metavar="CSV", help="ED and ES where they are known: video, ed, es")
    add("--fps", type=_above_zero, help="frames a second, where files do not say or err")
    add("--overlays", action="store_true", help="a video of each clip, with its contour")
    add("--no_previews", action="store_true", help="no picture of each clip")
    add("--report", action="store_true", help="one page of all clips, report/report.html")
    add("--dicom_sr", metavar="DIR",
        help="EF of each DICOM clip, and with --studies of each study, as a Structured Report, "
        "which names the patient")  # fmt: skip
    add("--dicom_seg", metavar="DIR",
        help="its ED and ES contours as a DICOM Segmentation, likewise")  # fmt: skip
    add("--anonymize", metavar="KEY.csv",
        help="clips by numbers, everywhere; which is which goes there")  # fmt: skip
    add("--workers", type=_count, help="processes (as many as cores; 0: only this one)")
    add(
        "--max_seconds",
        type=_above_zero,
        default=300.0,
        metavar="S",
        help="what one clip may take (300)",
    )
    add("--max_memory", type=_above_zero, default=6.0, metavar="GB", help="likewise (6)")
    add("--device", help="cpu, cuda, ... (a GPU if there is one)")
    add("--fast", action="store_true", help="in bfloat16 where it is faster; EF moves a little")
    add(
        "--shard",
        metavar="K/N",
        help="the K-th of N shares, one a machine; torchrun and SLURM arrays say it themselves",
    )
    add("--import", dest="trusted", action="append", default=[], metavar="MODULE",
        help="may be imported for a model of your own")  # fmt: skip
    return parser


def _above_zero(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number
