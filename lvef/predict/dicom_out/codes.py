"""The words of reports and segmentations: codes of LOINC, SNOMED CT, DICOM and UCUM (PS3.16).

What none of them has a code for is coded in a scheme of this package.
"""

from __future__ import annotations

from highdicom.sr import CodedConcept

from lvef.data.slots import A2C, A4C

OWN = "99LVEF"
"""Designator of this package's own codes; those that begin with 99 are anyone's (PS3.16, 8.2)."""

EF = CodedConcept("18043-0", "LN", "Left Ventricular Ejection Fraction by US")
END_DIASTOLIC_VOLUME = CodedConcept("18026-5", "LN", "Left Ventricular End Diastolic Volume")
END_SYSTOLIC_VOLUME = CodedConcept("18148-7", "LN", "Left Ventricular End Systolic Volume")
ED_FRAME = CodedConcept("ED_FRAME", OWN, "End-diastolic frame, counted from 1")
ES_FRAME = CodedConcept("ES_FRAME", OWN, "End-systolic frame, counted from 1")
NUM_BEATS = CodedConcept("NUM_BEATS", OWN, "Beats that the answer rests on")
NUM_CLIPS = CodedConcept("NUM_CLIPS", OWN, "Clips of the study")
NUM_A4C = CodedConcept("NUM_A4C", OWN, "Four-chamber clips that the answer rests on")
NUM_A2C = CodedConcept("NUM_A2C", OWN, "Two-chamber clips that the answer rests on")
EF_STD = CodedConcept("EF_STD", OWN, "Standard deviation of the error of EF")
QUALITY = CodedConcept("QUALITY", OWN, "How far the analysis can be trusted, 0 to 1")

MEDIAN = CodedConcept("373099004", "SCT", "Median")
DISKS = CodedConcept("125208", "DCM", "Method of Disks, Single Plane")
BIPLANE_DISKS = CodedConcept("125207", "DCM", "Method of Disks, Biplane")
ABOVE = CodedConcept("371886008", "SCT", "+, range of upper measurement uncertainty")
BELOW = CodedConcept("371885007", "SCT", "-, range of lower measurement uncertainty")

PERCENT = CodedConcept("%", "UCUM", "Percent")
MILLILITRE = CodedConcept("mL", "UCUM", "milliliter")
NO_UNITS = CodedConcept("1", "UCUM", "no units")

LEFT_VENTRICLE = CodedConcept("87878005", "SCT", "Left ventricle")
ANATOMY = CodedConcept("91723000", "SCT", "Anatomical Structure")
ECHOCARDIOGRAPHY = CodedConcept("40701008", "SCT", "Echocardiography")
IMAGE_VIEW = CodedConcept("111031", "DCM", "Image View")
VIEWS = {
    A4C.name: CodedConcept("399214001", "SCT", "Apical four chamber"),
    A2C.name: CodedConcept("399232001", "SCT", "Apical two chamber"),
}
DEVICE = CodedConcept("121007", "DCM", "Device")
COMMENT = CodedConcept("121106", "DCM", "Comment")
AI = CodedConcept("123110", "DCM", "Artificial Intelligence")
