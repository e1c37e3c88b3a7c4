"""What the files of a run are called, in its own folder; one that writes or reads them imports it.

What they hold, their writers say; the columns of the tables stand in `lvef.columns`. Where
checkpoints lie, `lvef.runs` says.
"""

from __future__ import annotations

CONFIG = "config.yaml"
"""All options of the run, as it had them."""
RUN_RECORD = "run.json"
"""From what and how the run came about."""
METRICS = "metrics.json"
"""The result of a test."""
CASES = "cases.csv"
"""The cases of a test, a row a case."""
PREDICTIONS = "predictions.csv"
"""What was predicted, a row a video."""
BEATS = "beats.csv"
"""The same, a row a beat."""
STUDIES = "studies.csv"
"""What is known of studies, a row a study."""
EXCLUDED = "excluded.csv"
"""Videos of a labelled folder that were set aside, and why."""
