"""Phantoms in the layouts of data sets that may not be shipped, a file a layout."""

from lvef.phantom.layouts.camus import clear_patients, write_patient, write_splits
from lvef.phantom.layouts.choice import (
    OF_STUDIES,
    WrittenLayout,
    check_layout,
    clips_folder,
    number_of,
)
from lvef.phantom.layouts.listed import LIST, STUDIES, write_lists, write_study
from lvef.phantom.layouts.pediatric import as_pediatric
from lvef.phantom.layouts.whole_studies import clear_loops, write_loop, write_truth

__all__ = [
    "LIST", "OF_STUDIES", "STUDIES", "WrittenLayout", "as_pediatric", "check_layout",
    "clear_loops", "clear_patients", "clips_folder", "number_of", "write_lists", "write_loop",
    "write_patient", "write_splits", "write_study", "write_truth",
]  # fmt: skip
