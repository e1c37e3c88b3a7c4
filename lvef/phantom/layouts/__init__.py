"""Phantoms in the layouts of data sets that may not be shipped, a file a layout."""

from lvef.phantom.layouts.choice import WrittenLayout, clips_folder, refuse_other_layout
from lvef.phantom.layouts.pediatric import as_pediatric

__all__ = ["WrittenLayout", "as_pediatric", "clips_folder", "refuse_other_layout"]
