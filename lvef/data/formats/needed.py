"""Which packets of an H.264 or HEVC clip a few of its frames need: from the nearest key packet on.

A clip is planned from the times of its packets alone. Whatever leaves a doubt about which packet
is which frame, or what came of it, is said so, and the clip is then decoded from its start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

_CODECS = ("h264", "hevc")
"""A packet of others may be no picture, or more than one."""
_CONTAINER = "mov,mp4,m4a,3gp,3g2,mj2"
"""MP4 and its kin, as FFmpeg calls them; others do not always say when a picture is shown."""
_HELD = 64 * 2**20
"""Bytes of packets that are held in memory at most."""
_Picture = TypeVar("_Picture")


class Needed:
    """The packets that frames need.

    Args:
        packets: All of the clip, in the order of the file.
        numbers: Which frame each time is, of the frames that are wanted.
        needed: Which packets are decoded, in order.
    """

    def __init__(
        self, packets: Sequence[Any], numbers: dict[int, int], needed: Sequence[int]
    ) -> None:
        self._packets, self._numbers, self._needed = packets, numbers, needed

    @staticmethod
    def can_plan(container: Any, stream: Any) -> bool:
        """Return whether a clip's container and compression tell what its packets are."""
        return container.format.name == _CONTAINER and stream.codec_context.codec.name in _CODECS

    @classmethod
    def plan(cls, container: Any, stream: Any, wanted: frozenset[int]) -> Needed | None:
        """Return the packets that some frames need; None where that is not certain.

        Args:
            container: The open file, of which `can_plan` holds.
            stream: Its pictures.
            wanted: Numbers of frames.
        """
        held = _held(container.demux(stream))
        if not held or not wanted:
            return None
        times = [packet.pts for packet in held]
        if any(time is None for time in times) or any(packet.is_discard for packet in held):
            return None
        shown = sorted(times)
        if stream.codec_context.has_b_frames and times == shown:
            return None  # the file does not say in which order its pictures are shown
        begins = held[0].is_keyframe and times[0] == shown[0]  # or the first frames are not shown
        if not begins or len({*times}) < len(times) or max(wanted) >= len(times):
            return None
        place = {time: index for index, time in enumerate(times)}
        needed: set[int] = set()
        for number in wanted:
            last = first = place[shown[number]]
            while not (held[first].is_keyframe and times[first] <= shown[number]):
                first -= 1  # the first packet is one
            needed.update(range(first, last + 1))
        return cls(held, {shown[number]: number for number in wanted}, sorted(needed))

    def decoded(
        self, context: Any, convert: Callable[[Any], _Picture]
    ) -> dict[int, _Picture] | None:
        """Return the frames by number; None where one did not come, or is one of two fields.

        Pictures that no other needs are left out, unless they are wanted.

        Args:
            context: The decoder.
            convert: What is made of a frame.
        """
        found: dict[int, _Picture] = {}
        for frame in self._frames(context):
            if frame.interlaced_frame:
                return None
            if frame.pts in self._numbers:
                found[self._numbers[frame.pts]] = convert(frame)
        return found if len(found) == len(self._numbers) else None

    def _frames(self, context: Any) -> Iterator[Any]:
        before = self._needed[0] - 1
        for index in self._needed:
            if index != before + 1:  # what came before is complete; what comes begins anew
                yield from context.decode(None)
                context.flush_buffers()
            packet = self._packets[index]
            context.skip_frame = "DEFAULT" if packet.pts in self._numbers else "NONREF"
            yield from context.decode(packet)
            before = index
        yield from context.decode(None)


def _held(packets: Iterator[Any]) -> list[Any]:
    """Return packets that hold something; none where they are too many to be held."""
    held, size = [], 0
    for packet in packets:
        if packet.size:
            held.append(packet)
            size += packet.size
        if size > _HELD:
            return []
    return held
