"""What a run says of its circumstances."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lvef.circumstances import forget_peak_memory, peak_memory


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is not known")
def test_the_peak_of_memory_is_that_since_it_was_forgotten():
    forget_peak_memory()
    before = peak_memory()["main"]
    assert before is not None
    large = np.ones(40_000_000)  # 320 MB
    assert peak_memory()["main"] >= before + 250
    del large
    assert peak_memory()["main"] >= before + 250, "what is freed was held"
    forget_peak_memory()
    assert peak_memory()["main"] < before + 150
