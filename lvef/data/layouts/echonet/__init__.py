"""EchoNet-Dynamic: `FileList.csv`, `VolumeTracings.csv` and `Videos/`."""

from lvef.data.layouts.echonet.folder import EchoNetFolder
from lvef.data.layouts.echonet.layout import EchoNetDynamic

__all__ = ["EchoNetDynamic", "EchoNetFolder"]
