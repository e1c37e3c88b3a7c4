"""Old names of `lvef.data.layouts`, until what is being written beside it uses the new ones."""

from lvef.data.layouts import SPLITS, ExcludedError, check_excluded
from lvef.data.layouts import LabelFolder as EchoNetFolder
from lvef.data.layouts import read_labels as read_echonet

__all__ = ["SPLITS", "EchoNetFolder", "ExcludedError", "check_excluded", "read_echonet"]
