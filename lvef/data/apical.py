"""Which apical view a user's own words name."""

from __future__ import annotations

import re

A4C, A2C = "A4C", "A2C"
_FOUR = re.compile(r"(a|ap|apical)?(4|four)(c|ch|chamber)?(view)?")
_TWO = re.compile(r"(a|ap|apical)?(2|two)(c|ch|chamber)?(view)?")


def apical_view(text: str) -> str:
    """Return "A4C" or "A2C" where a text names one of these views; else "".

    Args:
        text: Such as `A4C`, `4CH`, `AP4`, `apical two-chamber`; capitals and signs do not matter.
    """
    plain = re.sub(r"[\W_]", "", text.casefold())
    if _FOUR.fullmatch(plain):
        return A4C
    return A2C if _TWO.fullmatch(plain) else ""
