"""EchoNet-Dynamic: `FileList.csv`, `VolumeTracings.csv` and `Videos/`."""

from lvef.data.layouts.echonet.layout import EchoNetDynamic, EchoNetFolder

__all__ = ["EchoNetDynamic", "EchoNetFolder"]
