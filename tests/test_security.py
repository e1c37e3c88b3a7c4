"""The promises of SECURITY.md: what comes from elsewhere is read, and starts nothing."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers import CONFIGS, told

import lvef
from lvef.cli.commands import main
from lvef.data.features import FeatureCache
from lvef.data.formats import clip_info, read_frames
from lvef.data.phantom_folder import read_truth
from lvef.errors import LvefError, VideoError
from lvef.models.backbones.resnet50 import ResNet50Backbone
from lvef.models.loading import load_task
from lvef.models.segmentation.weights import read_weights
from lvef.predict.record import read_record


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.marker,)


@cache
def a_backbone() -> ResNet50Backbone:
    with torch.device("meta"):
        return ResNet50Backbone(None)


READERS: dict[str, Callable[[Path], object]] = {
    "task": load_task,
    "lvef.load": lvef.load,
    "backbone": lambda path: a_backbone().load(str(path)),
    "segmenter": read_weights,
}
COMMANDS = {
    "test": ("esf_cls", "--ckpt_path"),
    "fit": ("esf_cls", "--ckpt_path"),
    "predict": ("lv_seg", "--data.segmenter"),
}


def pickled(marker: Path, path: Path, kind: str) -> Path:
    """Write a file that makes the marker when it is unpickled: of torch.save, or a bare pickle."""
    if kind == "torch":
        torch.save({"state_dict": {"w": torch.zeros(1)}, "lvef": Payload(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(marker)))
    return path


def test_the_payload_is_one(tmp_path):
    torch.load(pickled(tmp_path / "called", tmp_path / "evil.pt", "torch"), weights_only=False)
    assert (tmp_path / "called").exists()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".safetensors"])
@pytest.mark.parametrize("kind", ["torch", "bare"])
def test_no_checkpoint_or_weights_start_anything(tmp_path, reader, ending, kind):
    path = pickled(tmp_path / "called", tmp_path / f"evil{ending}", kind)
    with pytest.raises(LvefError) as told:
        READERS[reader](path)
    assert not (tmp_path / "called").exists()
    assert "\n" not in str(told.value)
    assert "weights_only=False" not in str(told.value)
    assert "can still be loaded" not in str(told.value), "as PyTorch would have it"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_starts_what_a_checkpoint_holds(tmp_path, capsys, command):
    path = pickled(tmp_path / "called", tmp_path / "evil.ckpt", "torch")
    config, option = COMMANDS[command]
    clips = ["--data.videos", __file__] if command == "predict" else []
    asked = [command, "--config", str(CONFIGS / f"{config}.yaml"), *clips, option, str(path)]
    assert main(asked) == 1
    assert not (tmp_path / "called").exists()
    assert len(told(capsys.readouterr().err)) == 1


@pytest.mark.filterwarnings("ignore:.*is damaged.*")
@pytest.mark.parametrize("kind", ["record", "truth", "cache"])
def test_no_cache_or_record_starts_anything(tmp_path, kind):
    marker = tmp_path / "called"
    evil = np.array([Payload(marker)], dtype=object)
    (tmp_path / "Truth").mkdir()
    path = tmp_path / "Truth" / "evil.npz"
    named = dict.fromkeys(("fps", "square", "area", "beats", "ef", "contour", "features"), evil)
    np.savez(path, allow_pickle=True, **named)
    if kind == "cache":
        path.rename(path.with_suffix(".safetensors"))
    readers = {
        "record": lambda: read_record(path),
        "truth": lambda: read_truth(tmp_path, "evil"),
        "cache": lambda: FeatureCache(tmp_path / "Truth").load("evil", 1),
    }
    try:
        found = readers[kind]()
    except (LvefError, ValueError):  # NumPy refuses objects in words of its own
        found = None
    assert found is None
    assert not marker.exists()


def test_a_config_is_trusted_and_can_call(tmp_path):
    config = {
        "data": {"root": str(tmp_path / "none")},
        "model": {"class_path": "lvef.models.LVSegmenter"},
        "trainer": {
            "callbacks": [
                {
                    "class_path": "lightning.pytorch.callbacks.LambdaCallback",
                    "init_args": {"setup": "lvef_called_by_a_config.call"},
                }
            ]
        },
    }
    (tmp_path / "evil.yaml").write_text(yaml.safe_dump(config))
    module = tmp_path / "lvef_called_by_a_config.py"
    module.write_text(f"from pathlib import Path\nPath({str(tmp_path / 'called')!r}).touch()\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        assert main(["fit", "--config", str(tmp_path / "evil.yaml")]) == 1
    sys.modules.pop("lvef_called_by_a_config", None)
    assert (tmp_path / "called").exists(), "SECURITY.md says so"


CALL = "!!python/object/apply:os.mkdir [{marker}]"


@pytest.mark.parametrize("command", ["report", "robustness", "verify"])
def test_a_run_folder_from_elsewhere_starts_nothing(tmp_path, capsys, command):
    marker, run = tmp_path / "called", tmp_path / "run"
    run.mkdir()
    text = "data: " + CALL.format(marker=marker) + "\n"
    (run / "config.yaml").write_text(text)
    (run / "run.json").write_text(json.dumps({"command": "test", "config": text}))
    (run / "metrics.json").write_text('{"metrics": {"mae": {"value": 1.0}}, "task": "EFRegressor"}')
    pd.DataFrame({"video": ["a"], "ef": [1.0]}).to_csv(run / "cases.csv")
    asked = {
        "report": ["report", str(run), "--output", str(tmp_path / "page.html")],
        "robustness": ["robustness", "--config", str(run / "config.yaml")],
        "verify": ["verify", str(run)],
    }[command]
    code = main(asked)  # a report is made of what is left
    assert not marker.exists()
    assert code == (0 if command == "report" else 1)
    assert len(told(capsys.readouterr().err)) == code


PLAYLISTS = {
    "concat": "ffconcat version 1.0\nfile other.avi\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.avi\n#EXT-X-ENDLIST\n",
    "web": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video 8766 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4"])
def test_no_clip_makes_other_files_or_the_network_be_read(phantom_root, tmp_path, kind, name):
    shutil.copy(next((phantom_root / "Videos").iterdir()), tmp_path / "other.avi")
    (tmp_path / name).write_text(PLAYLISTS[kind])
    with pytest.raises(VideoError):
        clip_info(tmp_path / name)
    with pytest.raises(VideoError):
        read_frames(tmp_path / name, [0])


def test_no_clip_s_name_is_taken_for_a_protocol(phantom_root, tmp_path, monkeypatch):
    shutil.copy(next((phantom_root / "Videos").iterdir()), tmp_path / "other.avi")
    (tmp_path / "concat:other.avi").write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError):
        clip_info("concat:other.avi")
