"""Layouts of labelled clips, a file or folder a layout: see `base.Layout` for what one is.

A layout registers itself when it is imported, which happens here.
"""

from lvef.data.layouts.base import LAYOUTS, Layout, find_layout, read_labels, register
from lvef.data.layouts.bids import Bids
from lvef.data.layouts.camus import Camus
from lvef.data.layouts.clip_list.layout import ClipList
from lvef.data.layouts.echonet import EchoNetDynamic
from lvef.data.layouts.echonet_pediatric import EchoNetPediatric
from lvef.data.layouts.folder import (
    MAX_EXCLUDED,
    ExcludedError,
    LabelFolder,
    check_excluded,
)
from lvef.data.layouts.lacking import with_mid_frames, with_two_chamber_views
from lvef.data.layouts.mimic_echo import MimicEcho

__all__ = [
    "LAYOUTS", "MAX_EXCLUDED", "Bids", "Camus", "ClipList", "EchoNetDynamic", "EchoNetPediatric",
    "ExcludedError", "LabelFolder", "Layout", "MimicEcho", "check_excluded", "find_layout",
    "read_labels", "register", "with_mid_frames", "with_two_chamber_views",
]  # fmt: skip
