"""The model card of shipped segmenter weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lvef.analysis.calibration import GeometryCalibration
from lvef.analysis.gate import Limits
from lvef.data.phantom_folder import GENERATOR
from lvef.evaluation.uncertainty import LEVEL
from lvef.phantom.randomised import APICAL_MARGIN, MARGIN
from lvef.phantom.views.visible import SEEN
from lvef.pretraining.phantom_figures import BANDS, CLOSE

_ROWS = (
    ("Dice, mean over clips", "mean_dice", "{:.3f}"),
    ("beats found", "beats_found", "{:.1%}"),
    ("the same in clips that were not refused", "beats_found_where_not_refused", "{:.1%}"),
    ("beats found where there is none", "wrong_beats", "{:.0f}"),
    ("ED error, median, frames", "median_ed_error", "{:.1f}"),
    ("ED error, mean, frames", "mean_ed_error", "{:.2f}"),
    ("ES error, median, frames", "median_es_error", "{:.1f}"),
    ("ES error, mean, frames", "mean_es_error", "{:.2f}"),
    ("geometric EF, mean absolute error, points", "ef_mae", "{:.2f}"),
    (
        "the same of all clips, a refused one answered by the median of the true EFs",
        "ef_mae_all",
        "{:.2f}",
    ),
    ("geometric EF, bias, points", "ef_bias", "{:+.2f}"),
    *(
        row
        for points in CLOSE
        for row in (
            (
                f"geometric EF within {points} points of the true one",
                f"ef_within_{points}",
                "{:.1%}",
            ),
            (
                "the same of all clips, a refused one counted as not",
                f"ef_within_{points}_all",
                "{:.1%}",
            ),
        )
    ),
    (f"true EF within the stated {LEVEL:.0%} interval", "ef_within", "{:.1%}"),
    ("the same of all clips, a refused one counted as not", "ef_within_all", "{:.1%}"),
    ("width of that interval, mean, points", "ef_width", "{:.1f}"),
    *(
        (f"EF above {low} to {high}: mean absolute error / bias, points", f"{low}_{high}", "")
        for low, high in BANDS
    ),
    ("clips refused", "refused", "{:.0f}"),
)


def model_card(
    calibration: GeometryCalibration,
    figures: dict[str, dict[str, float]],
    seed: int,
    breadth: float,
    parameters: int,
    inset: int = 0,
) -> str:
    """Return the model card of shipped weights, with the figures that were measured."""
    wide, usual, solid, hard = (int(part["clips"]) for part in figures.values())
    header = (
        f"| PHANTOM figures | {wide} domain-randomised, ranges {breadth:g} x the plain ones "
        f"(seed {seed + 1}) | {usual} of the standard population (seed {seed + 2}) | {solid} of "
        f"the second generator (seed {seed + 6}) | {hard} of the hard kinds (seed {seed + 7}) |"
    )
    lines = [header, "|---|---|---|---|---|"]
    for title, name, form in _ROWS:
        cells = " | ".join(_cell(part, name, form) for part in figures.values())
        lines.append(f"| {title} | {cells} |")
    return _CARD.format(
        table="\n".join(lines),
        seed=seed,
        generator=GENERATOR,
        millions=parameters / 1e6,
        margin=MARGIN,
        inset=inset,
        apical=APICAL_MARGIN,
        trust=calibration.trust,
        std=calibration.std,
        reach=calibration.reach * calibration.std,
        breadth=breadth,
        level=LEVEL,
        motion=_curve(*calibration.motion[:2]),
        contrast=calibration.motion[2],
        contours=_curve(*calibration.contours),
    )


def with_views(card: str, figures: dict[str, Any], limits: Limits) -> str:
    """Return a model card with what its view heads were measured to do, at its end.

    Args:
        card: The card, with or without such a section.
        figures: What `view_judge.write_summary` returned, with its tables.
        limits: What the gate lets through.
    """
    kinds = figures["by kind"]
    rows = [
        f"| {row['kind']} | {'no' if row['never learned'] else 'yes'} | {_ends(row)} |"
        for row in kinds
    ]  # fmt: skip
    section = _VIEWS.format(
        table="\n".join(rows),
        least=limits.least_p,
        kept=figures["four-chamber views given an EF"],
        not_gated=figures["four-chamber views not refused by the gate"],
        wide=figures["four-chamber views"],
        others=figures["others"],
        given=figures["others given an EF"],
        given_new=figures["others given an EF, of kinds never learned"],
        borders=_borders(figures["by border"]),
    )
    return card.partition(_VIEWS_TITLE)[0].rstrip() + "\n\n" + section


def _borders(rows: Sequence[dict[str, Any]]) -> str:
    """Return the part about how much of the border shows; nothing where it was not counted."""
    if not rows:
        return ""
    lines = [f"| {row['kind']} | {row['segments seen']} | {_ends(row)} |" for row in rows]
    clips = sum(row["clips"] for row in rows)
    return _BORDERS.format(table="\n".join(lines), seen=SEEN, clips=clips)


def _ends(row: dict[str, Any]) -> str:
    """Return the cells of how clips ended."""
    names = ("clips", "given an EF", "refused by the gate", "refused otherwise")
    return " | ".join(str(row[name]) for name in names)


def _cell(figures: dict[str, float], name: str, form: str) -> str:
    if form:
        return form.format(figures[name])
    count = figures[f"clips_{name}"]
    if not count:
        return "no clip"
    return f"{figures[f'ef_mae_{name}']:.1f} / {figures[f'ef_bias_{name}']:+.1f} ({count:.0f})"


def _curve(linear: float, quadratic: float) -> str:
    return f"{linear:.3f} x {quadratic:+.3f} x^2 / 100"


_BORDERS = """
On {clips} four-chamber views judged for this, by how many of the six segments of the border are to
be seen, as the phantoms' own tracings tell (`lvef/phantom/views/visible.py`: a pixel of the wall is
brighter than one of the blood beside it at least {seen:.0%} of the time):

| kind | segments seen | clips | given an EF | refused by the gate | refused otherwise |
|---|---|---|---|---|---|
{table}
"""
_VIEWS_TITLE = "## Views"
_VIEWS = (
    _VIEWS_TITLE
    + """

Beside the network lie three small heads that tell from its encoder which view a clip shows
(`python -m lvef.pretraining.view_training`). They learned from phantoms of every kind but five
(`lvef/phantom/views/`), with the encoder as it is, and paint nothing; then they went on with many
hearts of 1.1 to 1.5 times the plain ranges among the rest. A clip is refused where the probability
of an upright apical four-chamber view is below {least:.2f}, and where its frames are still, in no
order, run backwards, or are one piece of a beat over and over. The limit costs one in a hundred of
the four-chamber views of other phantoms.

Three things come from the three published clips. Twice, first heads refused one of them, in which
hardly anything of the right ventricle is seen: pictures to learn from were then moved, zoomed and
shaded more, and the second time, when wide phantoms were lost, too, more rounds were learned from,
for longer. Its beats do not repeat, and the arrow of time pointed the wrong way: it is not asked
of such clips any more.

**Measured on PHANTOMS that nothing was learned from or chosen by**, through the whole analysis: of
{wide} four-chamber views of 1.5 to 1.75 times the plain ranges {kept:.2%} were given an EF
({not_gated:.2%} were not refused by the gate), of {others} others {given:.2%}, and {given_new:.2%}
of those of kinds that nothing was ever learned from. Neither the heads nor the network that they
look through learned from hearts of more than 1.5 times these ranges. The shares count every kind of
other pictures as often; of kinds never learned the table counts more clips.

| kind | learned from | clips | given an EF | refused by the gate | refused otherwise |
|---|---|---|---|---|---|
{table}
{borders}
A black first frame and one that fades in add no beat. Real clips of other views were not at hand:
how many of them are refused is not known, and a gate that phantoms taught may refuse good ones. A
reason names the view that a clip is most like among those that were learned.

What was changed after clips had been judged, and by which others it was judged then, stands in
[ABLATION.md](ABLATION.md).
"""
)
_CARD = """# Model card: LV segmenter (`lv_seg.safetensors`)

**Research use only, not for diagnosis.** Written by `python -m lvef weights`.

**What it is.** A U-Net of {millions:.2f} million parameters that paints the left ventricle in
apical four-chamber clips, looking at 25 frames a second with temporal context, at 112 x 112 pixels.
With it come the constants of the geometry: an EF of x by optical flow is worth
{motion} {contrast:+.3f} x s, where s is how much brighter the wall is than the blood beside it
(a share of white, mean of ED and ES); one by two contours {contours};
and the geometric EF is {trust:.2f} of the first and the rest of the second.

**What it was trained on.** Phantoms only: domain-randomised synthetic hearts made by this
package. No picture, mask or label of a patient took part in training, in calibration, or in the
choice of a checkpoint. It comes from four trainings, each of which began where the one before
ended: 8,000 phantoms of seed 2000 for 28 epochs; 1,674 steps on up to 5,600 of the same and 2,400
dilated ones with a trabeculated layer, whose inner edge narrows more than the wall (both
generator 1); 2,974 steps on up to 8,000 of generator 2, four in ten of a hard kind; and 3,150 steps
on up to 8,000 more various ones: two in ten each of plain hearts, of wider and of narrower ranges,
and of the standard population, and one in twenty of each of four hard kinds
(`python -m lvef.pretraining.segmenter_training again`, the recipe "again, all kinds"). In the last
two, masks were drawn {inset} pixel further inside. What else was tried, and what each change gave,
stands in [ABLATION.md](ABLATION.md).

**How it was chosen.** By phantoms of a *second, independent* generator (a solid heart under a
simulated probe, `lvef/phantom/solid/`), on which nothing was trained: 120 of seed 9000. How much
motion and contours count was chosen by letting each population be judged by the constants of the
others: they agree on what motion is worth, and less on what contours are. The constants themselves
were then fitted on four populations (below), each counting as much, to single errors and to the
mean error in each band of EF, so that low EF is not read too high for the sake of the others.

**What three published clips decided.** They were looked at and measured with while the first
generator was developed, and four settings come from that: the contour that phantoms state lies
{margin:g} pixels inside the edge of the blood and {apical:g} more at the apex, as readers trace
it; in four phantoms of ten the apex and the lateral wall are not seen; beats are found in the
mean of the area and what grey levels tell of it, rather than in the latter; and masks were drawn
{inset} pixel further inside for the last two, since the outlines of the network before them were
17 to 34 % larger than those of EchoNet-Dynamic's own network. How far inside a reader draws is a
convention, which no phantom can tell; Dice below is against masks drawn as far inside, and does
not include how much readers differ. Volumes are those within such outlines, and smaller than those
up to the wall. Everything else was chosen by phantoms, and compared on the
clips afterwards.

**The stated interval** reaches {reach:.1f} points to either side of the EF, a little more where
beats differ. That is the {level:.0%} conformal quantile of the error on the population on which it
is largest, each phantom judged by constants that were fitted to others; where a clip comes from is
not known, so that it is too wide for the populations that are easier. Constants and reach come from
phantoms of seeds {seed} (ranges {breadth:g} x the plain ones), {seed} + 3 (standard), + 4 (hard
kinds) and + 5 (second generator), and so does the share of motion. A clip is flagged for review
where the interval holds EF 40.

**Measured, on PHANTOMS of generator {generator} only.** The figures are of phantoms that nothing
was chosen by.

{table}

Errors in bands of EF are followed by the number of clips. Such figures say that the software works.
They say nothing about patients: networks with the same Dice on phantoms have done anything from
badly to well on real clips. The two generators do not trace alike: the first within the edge of
the blood by a constant, the second where the grey level is half-way between wall and blood, the
standard population at the wall itself. Other phantoms of the standard population took part in the
last training, so that only the second generator is one that nothing was learned from.

**What to expect of real clips.** Timing and position transfer best, the contour less well, EF
least: a single plane is not a heart, and the factor between the motion of speckle and that of the
wall was learned on phantoms. The quality gate refuses clips in which contour, grey levels and
motion contradict each other; it does not catch everything. The error of EF stated with an analysis
({std:.1f} points, root mean square) is that on the worst of the four populations. It and the
interval may well be too small for patients.

**Must not be used** for diagnosis, for any decision about a patient, for views other than the
apical four-chamber, for contrast echo, for hearts without an ordinary left ventricle on the right
of the picture, or as a reference that other methods are judged against.
"""
