"""The precision that a CPU is fastest in: which CPU, and of which network."""

import pytest
import torch
from jsonargparse import Namespace

from lvef.cli.rules import choose_precision
from lvef.precision import cpu_multiplies_bfloat16, cpu_precision

KINDS = {
    "AMX": {"amx_tile": True, "amx_bf16": True, "avx512_bf16": True},
    "AVX512-BF16": {"avx512_bf16": True, "amx_tile": False},
    "AMX of integers": {"amx_tile": True, "amx_bf16": False, "avx512_bf16": False},
    "Arm": {"neon": True},
}


@pytest.fixture
def cpu(monkeypatch):
    """Make of this CPU another kind."""

    def become(kind):
        monkeypatch.setattr(torch.cpu, "get_capabilities", KINDS[kind].copy, raising=False)

    return become


@pytest.mark.parametrize(
    ("kind", "multiplies", "resnet50", "others"),
    [
        ("AMX", True, "bf16-mixed", "bf16-mixed"),
        ("AVX512-BF16", True, "bf16-mixed", "32-true"),
        ("AMX of integers", False, "32-true", "32-true"),
        ("Arm", False, "32-true", "32-true"),
    ],
)
def test_bfloat16_is_taken_where_the_cpu_multiplies_it_and_the_network_gains(
    cpu, kind, multiplies, resnet50, others
):
    cpu(kind)
    assert cpu_multiplies_bfloat16() == multiplies
    assert cpu_precision("resnet50") == cpu_precision() == resnet50
    for name in ("torchvision/mobilenet_v3_small", "torchvision/r2plus1d_18", "mine.Encoder"):
        assert cpu_precision(name) == others


def test_versions_of_torch_without_the_public_list_are_asked_otherwise(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert not cpu_multiplies_bfloat16()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert cpu_multiplies_bfloat16()
    assert (cpu_precision("resnet50"), cpu_precision("timm/vit")) == ("bf16-mixed", "32-true")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name)
    assert not cpu_multiplies_bfloat16()


@pytest.mark.parametrize(
    ("backbone", "asked", "chosen"),
    [
        ("resnet50", None, "bf16-mixed"),
        (None, None, "bf16-mixed"),
        ("torchvision/r2plus1d_18", None, "32-true"),
        ("torchvision/r2plus1d_18", "bf16-mixed", "bf16-mixed"),
        ("resnet50", "32-true", "32-true"),
    ],
)
def test_a_run_takes_what_its_network_is_faster_in_unless_it_is_told(cpu, backbone, asked, chosen):
    cpu("AVX512-BF16")
    options = Namespace() if backbone is None else Namespace(backbone=Namespace(name=backbone))
    trainer = Namespace(accelerator="cpu", precision=asked)
    config = Namespace(trainer=trainer, model=Namespace(init_args=options))
    choose_precision(config)
    assert config.trainer.precision == chosen
