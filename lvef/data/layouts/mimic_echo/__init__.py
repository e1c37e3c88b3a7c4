"""MIMIC-IV-ECHO: DICOM loops of whole studies, with a published list and EFs of the user's own."""

from lvef.data.layouts.mimic_echo.layout import MimicEcho

__all__ = ["MimicEcho"]
