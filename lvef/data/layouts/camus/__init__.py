"""CAMUS: a folder a patient, NIfTI loops and masks, `Info_*.cfg`, official splits."""

from lvef.data.layouts.camus.layout import Camus

__all__ = ["Camus"]
