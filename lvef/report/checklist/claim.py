"""CLAIM, 2024 update: what a report of AI in medical imaging should say (Tejani et al., 2024)."""

from __future__ import annotations

from lvef.report.checklist.item import (
    EXCLUSIONS,
    NO_PARTICIPANTS,
    Guideline,
    Item,
    Pointer,
    by_data,
    by_groups,
    cases,
    config,
    figures,
    figures_of_classes,
    metrics,
    record,
    study,
    without_other_data,
    without_own_data,
)

_KNOWN = "phantoms, whose EF and contours are known by construction"
_MAPS = Pointer("saliency", kinds=("classification", "regression"), always=False)

_FRONT = {
    "Title and abstract": [
        Item("1", "AI is named, and which kind", metrics("task", "backbone"), authors="the title"),
        Item("2", "summary of design, methods, results and conclusions", authors="the abstract"),
    ],
    "Introduction": [
        Item("3", "background, and the part that AI is to play", authors="background and use"),
        Item("4", "aims and hypotheses", authors="the aims"),
    ],
}  # fmt: skip

_DATA = [
    Item("5", "prospective or retrospective", authors="the design", phantoms=NO_PARTICIPANTS),
    Item("6", "goal of the study", record("command", of="fit"), authors="the goal"),
    Item("7", "sources of the data",
         (*record("data", of="fit"), *record("data"), *metrics("phantom")),
         authors="where the clips come from"),
    Item("8", "who and what was included and excluded, and how selected", EXCLUSIONS,
         authors="how clips entered the list"),
    Item("9", "preparation of the pictures",
         config("data.image_size", "data.remove_artifacts", "data.augmentation")),
    Item("10", "selection of parts of the data", config("data.frames", "data.limit"),
         note="The frames that a case consists of."),
    Item("11", "removal of what identifies people", config("data.remove_artifacts"),
         authors="how the clips were de-identified",
         note="Text outside the sector is blanked; text within it stays.",
         phantoms=NO_PARTICIPANTS),
    Item("12", "missing data", EXCLUSIONS, note="Set aside with a reason; nothing is imputed."),
    Item("13", "how pictures were acquired", authors="machines, views and settings",
         phantoms="phantoms, drawn by python -m lvef phantom"),
]  # fmt: skip

_REFERENCE = [
    Item("14", "reference standard: what and how", cases("ef_true", "reduced_true"),
         authors="how EF was measured", note="EF in percent; reduced is EF <= 40."),
    Item("15", "why this reference standard", authors="why this one", phantoms=_KNOWN),
    Item("16", "who annotated, and their training", authors="the readers", phantoms=_KNOWN),
    Item("17", "how the test data were annotated", authors="the procedure", phantoms=_KNOWN),
    Item("18", "differences between and within readers", phantoms=_KNOWN,
         authors="how far readers differ: the error of a model must be read beside it"),
]  # fmt: skip

_PARTS = [
    Item("19", "how data were assigned to partitions, and imbalance handled",
         (*record("data.usable", of="fit"), *config("data.balanced", "data.calibration_share"))),
    Item("20", "at what level partitions are disjoint",
         (*record("data.usable"), *metrics("num_patients")),
         authors="whether patients are in one split alone, where the list has no column Patient",
         note="No clip is in two splits (by content), and no patient, where the list names them."),
    Item("21", "size of the test set, and why", metrics("num_cases", "metrics"),
         authors="why it is enough"),
]  # fmt: skip

_MODEL = [
    Item("22", "the model, from input to output",
         (*config("model.class_path", "model.init_args", "data.frames"), *metrics("backbone"))),
    Item("23", "software and versions", record("package", "versions", of="fit")),
    Item("24", "how parameters began",
         (*config("model.init_args.backbone", always=False), *config("seed_everything"))),
    Item("25", "training: procedure, augmentation, convergence, hyperparameters",
         (*config("data.augmentation", "data.batch_size", "trainer.max_epochs",
                  "trainer.gradient_clip_val", "early_stopping"),
          *config("model.init_args.optimizer", "model.init_args.gp", always=False),
          *record("machine", "seconds", of="fit"))),
    Item("26", "how the final model was chosen",
         (*config("checkpoint.monitor", "checkpoint.mode"),
          *record("checkpoints.best.sha256", "figures", of="fit"))),
    Item("27", "ensembles",
         config("model.init_args.members", "model.init_args.weighting", always=False),
         unused="no ensemble"),
]  # fmt: skip

_EVALUATION = [
    Item("28", "metrics of performance", metrics("metrics", "baseline", "clinical"),
         authors="comparison with published models",
         note="Every metric stands beside that of the trivial answer."),
    Item("29", "uncertainty of figures, and tests", metrics("metrics", "subgroups.comparisons"),
         note="Every figure has its 95 % interval and its method."),
    Item("30", "robustness", study("robustness", "conditions"),
         absent="python -m lvef robustness measures what wrong frames and poor pictures cost"),
    Item("31", "methods that explain answers", (_MAPS,),
         absent="no heat maps in this run: test --saliency true; python -m lvef saliency measures "
         "what they are worth"),
    Item("32", "testing on internal data",
         (*metrics("metrics"), *record("figures", of="fit"), *record("data.names_and_sizes")),
         told=by_data, undone=without_own_data),
    Item("33", "testing on external data",
         (*record("data.names_and_sizes", of="fit"), *record("data.names_and_sizes"),
          *study("external", "num_cases", "all")),
         told=by_data, undone=without_other_data, authors="how the other data differ"),
    Item("34", "registration of a clinical trial", authors="the register, or that it is no trial",
         phantoms=NO_PARTICIPANTS),
]  # fmt: skip

_RESULTS = [
    Item("35", "numbers included and excluded, with a flowchart",
         (*record("data.usable"), *EXCLUSIONS, *metrics("num_cases")),
         authors="the flowchart"),
    Item("36", "characteristics of each partition",
         (*figures("ef_distribution"), *metrics("subgroups.by")),
         authors="a table of them", phantoms=NO_PARTICIPANTS),
    Item("37", "performance on every partition and in subgroups",
         (*metrics("metrics", "subgroups.by"), *record("figures", of="fit")), told=by_groups),
    Item("38", "accuracy with 95 % intervals, and ROC",
         (*metrics("clinical.at_40", "metrics.roc_auc"), *figures_of_classes("roc_and_pr"))),
    Item("39", "failures",
         (*metrics("review.bands", "review.borderline"), *figures_of_classes("confusion_matrix"),
          *cases("reduced", "reduced_true")),
         authors="examples of failures, and what they would mean",
         note="python -m lvef report shows the cases that were called wrong."),
]  # fmt: skip

_END = [
    Item("40", "limitations", metrics("calibration.coverage_worst", "review.p_value"),
         authors="the limitations"),
    Item("41", "what it means for practice", authors="implications and barriers"),
    Item("42", "full protocol", (*config("", of="test"), *record("command_line")),
         authors="where the protocol is"),
    Item("43", "availability of software, model and data",
         (*record("package.version", "package.commit"),
          *record("checkpoints.best.sha256", of="fit")),
         authors="where they can be had"),
    Item("44", "funding", authors="funding and the part of funders"),
]  # fmt: skip

CLAIM_2024 = Guideline(
    "CLAIM, 2024 update",
    "Tejani et al., Radiology: Artificial Intelligence 6:e240300, 2024",
    {
        **_FRONT, "Design and data": _DATA, "Reference standard": _REFERENCE, "Partitions": _PARTS,
        "Model and training": _MODEL, "Evaluation": _EVALUATION, "Results": _RESULTS,
        "Discussion and other information": _END,
    },
)  # fmt: skip
