"""What was found in a DICOM loop, as DICOM objects that a hospital's archive takes.

`report` makes a Structured Report of the EF of a loop, `study_report` of that of a study,
`contours` a Segmentation of end-diastole and end-systole; `codes` are the words of all. These alone
know highdicom, and are loaded when the first object is made. `answer` is what a report says,
`maker` what made it, `folders` where it goes.
"""

from lvef.predict.dicom_out.answer import answer_of, study_answer_of, volumes_of
from lvef.predict.dicom_out.folders import DicomFolders, Written, require_highdicom
from lvef.predict.dicom_out.maker import Maker

__all__ = [
    "DicomFolders", "Maker", "Written", "answer_of", "require_highdicom", "study_answer_of",
    "volumes_of",
]  # fmt: skip
