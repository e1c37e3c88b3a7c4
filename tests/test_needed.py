"""Frames of H.264 and HEVC from the packets that they need, and from the start where in doubt."""

from types import SimpleNamespace

import av
import numpy as np
import pytest
from clips import numbered, numbers, write_clip

from lvef.data.formats import read_frames, stream_frames
from lvef.data.formats.needed import Needed

COUNT = 40
GROUPS = "keyint=12:min-keyint=12:scenecut=0"


def planned(path, *wanted):
    """Return which packets of a clip are decoded, and the times of the frames that come of them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        needed = Needed.plan(container, stream, frozenset(wanted))
        if needed is None:
            return None
        return needed._needed, [frame.pts for frame in needed._frames(stream.codec_context)]


def h264(path, parameters, **options):
    given = {"x264-params": parameters, **options}
    return write_clip(path, numbered(COUNT), "libx264", "yuv420p", given)


def test_a_frame_is_decoded_from_the_nearest_key_packet_on(tmp_path):
    path = h264(tmp_path / "a.mp4", f"{GROUPS}:bframes=0")
    needed, times = planned(path, 30)
    assert needed == list(range(24, 31))
    assert len(times) == 7
    assert planned(path, 30, 2)[0] == [0, 1, 2, *range(24, 31)]
    assert numbers(read_frames(path, [30, 2])) == [30, 2]


def test_pictures_that_no_other_needs_are_left_out(tmp_path):
    path = h264(tmp_path / "a.mp4", "bframes=3:b-adapt=0:b-pyramid=none:scenecut=0")
    needed, times = planned(path, 37)
    assert len(needed) > 36
    assert len(times) <= 14
    assert numbers(read_frames(path, [37, 5])) == [37, 5]


@pytest.mark.parametrize(
    "parameters", [f"{GROUPS}:open-gop=1:bframes=4", f"{GROUPS}:intra-refresh=1", f"{GROUPS}:tff=1"]
)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_frames_are_the_clips_whatever_the_key_packets_are(tmp_path, parameters, ending):
    path = h264(tmp_path / f"a.{ending}", parameters)
    whole = np.concatenate(list(stream_frames(path)))
    assert planned(path, 3) is not None
    for number in range(len(whole)):
        np.testing.assert_array_equal(read_frames(path, [number])[0], whole[number])


def test_a_picture_that_is_shown_before_its_key_packet_needs_the_one_before(tmp_path):
    path = h264(tmp_path / "a.mp4", f"{GROUPS}:open-gop=1:bframes=4:b-adapt=0")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    shown = sorted(packet.pts for packet in packets)
    key = shown.index(packets[keys[2]].pts)
    assert packets[keys[2] + 1].pts < packets[keys[2]].pts
    assert planned(path, key)[0] == [keys[2]]
    assert planned(path, key - 1)[0][0] == keys[1]


def test_where_pictures_have_the_order_of_packets_the_clip_is_decoded_from_its_start(tmp_path):
    source = h264(tmp_path / "a.mp4", "bframes=3:b-adapt=0:scenecut=0")
    data = bytearray(source.read_bytes())
    start = data.find(b"ctts")
    for entry in range(int.from_bytes(data[start + 8 : start + 12], "big")):
        place = start + 12 + 8 * entry + 4
        data[place : place + 4] = (1024).to_bytes(4, "big")  # every picture as late as any other
    path = tmp_path / "b.mp4"
    path.write_bytes(data.replace(b"edts", b"free"))  # or the last ones would be cut off
    whole = np.concatenate(list(stream_frames(path)))
    assert planned(source, 3) is not None
    assert planned(path, 3) is None
    np.testing.assert_array_equal(read_frames(path, [5, 6, 7]), whole[5:8])


def test_a_frame_that_does_not_come_is_looked_for_from_the_start(tmp_path, monkeypatch):
    path = h264(tmp_path / "a.mp4", f"{GROUPS}:bframes=0")
    monkeypatch.setattr(Needed, "_frames", lambda *_: iter(()))
    assert numbers(read_frames(path, [30, 2])) == [30, 2]


@pytest.mark.parametrize("fields", [False, True])
def test_fields_are_not_taken_for_frames(fields):
    packets = [SimpleNamespace(pts=0)]
    frame = SimpleNamespace(pts=0, interlaced_frame=fields)
    context = SimpleNamespace(decode=lambda packet: [] if packet is None else [frame])
    found = Needed(packets, {0: 0}, [0]).decoded(context, lambda _: "a picture")
    assert found == (None if fields else {0: "a picture"})
