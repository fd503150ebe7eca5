"""Settings of the process that shorten float32 are off while the engine computes, and come back."""

from __future__ import annotations

import threading

import pytest
import torch
from examples import picture

from urst_core.geometry import Rectangle, tile_around
from urst_core.networks.full_precision import full_precision
from urst_core.pictures.source import TensorSource
from urst_core.tiling.exact_statistics import SiteMeasurement

NEWER = hasattr(torch.backends.cuda.matmul, "fp32_precision")
CUDA = torch.backends.cuda.matmul
SPLITS = hasattr(CUDA, "allow_bf16_reduced_precision_reduction_split_k")


def settings() -> dict[str, object]:
    """What a program may have chosen, by either of PyTorch's names."""
    found = {
        "fp16": CUDA.allow_fp16_reduced_precision_reduction,
        "bf16": CUDA.allow_bf16_reduced_precision_reduction,
        "products": torch.get_float32_matmul_precision(),
        "timed": torch.backends.cudnn.benchmark,
        "repeatable": torch.backends.cudnn.deterministic,
    }
    if SPLITS:
        found["splits"] = CUDA.allow_bf16_reduced_precision_reduction_split_k
    if NEWER:
        found["convolutions"] = torch.backends.cudnn.conv.fp32_precision
        found["CPU"] = torch.backends.mkldnn.matmul.fp32_precision
    return found | {"TF32": torch.backends.cudnn.allow_tf32}


def is_exact() -> bool:
    if NEWER:
        places = torch.backends.cudnn.conv, CUDA, torch.backends.mkldnn.matmul
        exact = all(place.fp32_precision == "ieee" for place in places)
    else:
        exact = not torch.backends.cudnn.allow_tf32 and not CUDA.allow_tf32
    repeats = torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
    return exact and repeats and not CUDA.allow_bf16_reduced_precision_reduction


@pytest.fixture(params=["highest", "high", "medium"])
def chosen(request):
    """A program that chose a precision of float32 products; the default at the end."""
    torch.set_float32_matmul_precision(request.param)
    yield settings()
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("tf32", [True, False])
def test_whatever_was_chosen_comes_back(chosen, tf32):
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        before = chosen | {"TF32": tf32}
        before = {name: value for name, value in before.items() if name != "convolutions"}
        assert not is_exact()
        with full_precision():
            with full_precision():
                assert is_exact()
            assert is_exact()
        after = settings()
        assert {name: after[name] for name in before} == before
    finally:
        torch.backends.cudnn.allow_tf32 = True


@pytest.mark.parametrize("repeatable", [True, False])
def test_how_cudnn_chooses_algorithms_comes_back(repeatable):
    with torch.backends.cudnn.flags(benchmark=True, deterministic=repeatable):
        before = settings()
        with full_precision():
            assert not torch.backends.cudnn.benchmark
            assert torch.backends.cudnn.deterministic
        assert settings() == before


@pytest.mark.skipif(not SPLITS, reason="before torch 2.10 a single setting")
@pytest.mark.parametrize("splits", [True, False])
def test_split_sums_come_back(splits):
    CUDA.allow_bf16_reduced_precision_reduction = (False, splits)
    try:
        with full_precision():
            assert CUDA.allow_bf16_reduced_precision_reduction_split_k == splits
        assert settings()["splits"] == splits
    finally:
        CUDA.allow_bf16_reduced_precision_reduction = True


def test_an_error_restores_them():
    before = settings()
    with pytest.raises(InterruptedError), full_precision():
        raise InterruptedError
    assert settings() == before


def test_the_last_thread_that_leaves_restores_them():
    before, entered, left = settings(), threading.Event(), threading.Event()

    def other():
        with full_precision():
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with full_precision():
        thread.start()
        assert entered.wait(10)
    assert is_exact()
    left.set()
    thread.join()
    assert settings() == before


def test_everything_that_computes_is_inside(microast, monkeypatch):
    """Styles, statistics, folding, tiles, and tiles of exact statistics."""
    seen = []

    def watch(owner, name):
        real = getattr(owner, name)

        def watched(*values, **more):
            seen.append((name, is_exact()))
            return real(*values, **more)

        monkeypatch.setattr(owner, name, watched)

    network = type(microast.network)
    for name in ("style_code", "content_features", "stages_from", "fold"):
        watch(network, name)
    photo = picture((64, 64))
    code = microast.encode_style([photo[None]])
    baked = microast.bake(microast.collect(photo[None], code))
    watch(type(baked), "_compute")
    baked.in_bands = True
    with torch.inference_mode():
        baked(photo[None])
        site = SiteMeasurement(TensorSource(photo), microast, code, network.site_names[0], {})
        tile = tile_around(Rectangle(0, 0, 64, 64), 0, (64, 64))
        site.compute(tile, site.read(tile))
    measuring = ("content_features", "stages_from")
    names = ("style_code", *measuring, "fold", "_compute", *measuring)
    assert seen == [(name, True) for name in names]
    assert not is_exact()
