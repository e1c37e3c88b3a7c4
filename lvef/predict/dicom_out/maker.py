"""What made an object: program, version and weights, and the identifiers that follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from lvef.notice import NOT_FOR_DIAGNOSIS

NAME = "lvef"
SERIES = f"{NAME}: research use only, not for diagnosis"
_LONGEST = 64
"""Characters of a DICOM text of one line (LO)."""


@dataclass(frozen=True)
class Maker:
    """What made an object.

    Attributes:
        version: Of this package.
        segmenter: SHA-256 of the weights that found beats and contours.
        segmenter_trained_on: What taught them, where that must be told.
        model: SHA-256 of the checkpoint that told the EF; empty where geometry did.
        task: What kind of model that is.
        trained_on: What taught it, where that must be told.
        level: Share of truths that the stated interval of EF is meant to hold, such as 0.9.
    """

    version: str
    segmenter: str
    segmenter_trained_on: str = ""
    model: str = ""
    task: str = ""
    trained_on: str = ""
    level: float = 0.9

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Maker:
        """Return what made an archive, by its manifest."""
        made = manifest["made_with"]
        return cls(
            version=made["version"], segmenter=manifest["segmenter"],
            segmenter_trained_on=made["segmenter_trained_on"], model=manifest["model"] or "",
            task=made["task"], trained_on=made["trained_on"], level=made["level"],
        )  # fmt: skip

    def uid(self, *about: Any) -> str:
        """Return a UID (PS3.5, B.2) that follows from this and what it is about.

        So the same numbers, made by the same weights, are the same object however often they are
        written: an archive that is sent it twice keeps it once.
        """
        text = json.dumps([asdict(self), *about], sort_keys=True, default=str)
        return f"2.25.{UUID(bytes=sha256(text.encode()).digest()[:16], version=4).int}"

    @property
    def equipment(self) -> dict[str, Any]:
        """Return who made an object, as the constructors of highdicom call it."""
        return {
            "manufacturer": NAME,
            "manufacturer_model_name": NAME,
            "software_versions": self.version,
            "device_serial_number": (self.model or self.segmenter)[:_LONGEST],
            "series_description": SERIES,
        }

    def parameters(self, contours_alone: bool) -> dict[str, str]:
        """Return what else must be known of the algorithm.

        Args:
            contours_alone: Whether a model of EF had no part in it.
        """
        told = {
            "segmenter_sha256": self.segmenter,
            "segmenter_trained_on": self.segmenter_trained_on,
        }
        if not contours_alone and self.model:
            told |= {"model": self.task, "model_sha256": self.model, "trained_on": self.trained_on}
        return {**{name: value for name, value in told.items() if value}, "use": NOT_FOR_DIAGNOSIS}
