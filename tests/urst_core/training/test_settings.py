"""Settings of training: refusals before any work, and the learning rate."""

from __future__ import annotations

import math

import pytest
import torch
from training_examples import settings

from urst_core.errors import SettingsError
from urst_core.training.recipe import LossWeights
from urst_core.training.recipes import RECIPES
from urst_core.training.settings import Schedule, TrainingSettings, training_dtype

NAN = math.nan


def refusal(thing) -> str:
    with pytest.raises(SettingsError) as caught:
        thing.check()
    return str(caught.value)


# Schedule


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "training has no limit; give steps, or give minutes"),
        ({"steps": 0}, "0 steps are too few; use 1 or more"),
        ({"steps": -5, "minutes": 3}, "-5 steps are too few; use 1 or more"),
        *(
            ({"minutes": value}, f"{value} minutes cannot be used; use more than 0")
            for value in (0, -1.5, math.inf, NAN)
        ),
        *(
            (
                {"steps": 1, "learning_rate": value},
                f"learning rate {value} is out of range; use more than 0, below 1",
            )
            for value in (0, 1, -1e-4, NAN)
        ),
        *(
            (
                {"steps": 1, "warmup": warmup, "final_share": share},
                f"warmup {warmup} and final share {share} cannot be used; "
                "use a warmup of 0 or more, and a share of 0 to 1",
            )
            for warmup, share in ((-1, 0.5), (0, -0.1), (0, 1.1), (0, NAN))
        ),
    ],
    ids=str,
)
def test_refused_schedules(chosen, message):
    assert refusal(Schedule(**chosen)) == message
    assert refusal(TrainingSettings(Schedule(**chosen))) == message


@pytest.mark.parametrize(
    "chosen",
    [
        {"steps": 1},
        {"minutes": 0.01},
        {"steps": 1, "minutes": 1.0, "warmup": 0, "final_share": 0},
        {"steps": 5, "warmup": 100, "final_share": 1, "learning_rate": 0.999},
    ],
    ids=str,
)
def test_schedules_at_their_limits(chosen):
    assert Schedule(**chosen).check() is None


def test_progress_of_steps_of_time_and_of_both():
    steps, time = Schedule(steps=200), Schedule(minutes=2.0)
    both = Schedule(steps=200, minutes=2.0)
    assert [steps.progress(step, 1e9) for step in (0, 50, 200, 300)] == [0.0, 0.25, 1.0, 1.0]
    assert [time.progress(10**9, seconds) for seconds in (0, 30, 120, 500)] == [0, 0.25, 1, 1]
    # Whichever is further.
    assert both.progress(100, 30) == 0.5
    assert both.progress(50, 90) == 0.75
    assert both.progress(200, 1) == both.progress(1, 120) == 1.0


def test_warmup_by_hand():
    """The first step of 4 has a quarter of the peak; constant afterward."""
    schedule = Schedule(steps=100, learning_rate=0.4, warmup=4, final_share=1)
    rates = [schedule.rate(step, 0) for step in (0, 1, 2, 3, 4, 50, 99)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4])


def test_no_warmup():
    assert Schedule(steps=10, learning_rate=0.4, warmup=0, final_share=1).rate(0, 0) == 0.4


def test_cosine_by_hand():
    """(1 + cos) / 2 at 0, 60, 90, 120 and 180 degrees, down to a fifth of the peak."""
    schedule = Schedule(steps=60, learning_rate=0.5, warmup=0, final_share=0.2)
    rates = [schedule.rate(step, 0) for step in (0, 20, 30, 40, 60)]
    assert rates == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1])


def test_cosine_follows_the_clock():
    schedule = Schedule(minutes=1.0, learning_rate=0.5, warmup=0, final_share=0.2)
    rates = [schedule.rate(7, seconds) for seconds in (0, 20, 30, 40, 60, 90)]
    assert rates == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1, 0.1])


# Loss weights


@pytest.mark.parametrize("name", ["content", "style", "stroke", "contrastive", "out_of_range"])
@pytest.mark.parametrize("value", [-0.1, math.inf, NAN])
def test_refused_weights(name, value):
    weights = LossWeights(**{name: value})
    assert refusal(weights) == f"{name} weight {value} cannot be used; use 0 or more"
    assert refusal(settings(weights=weights)) == refusal(weights)


@pytest.mark.parametrize(("content", "style"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_content_and_style_are_needed(content, style):
    assert refusal(LossWeights(content=content, style=style)) == (
        f"content weight {content} and style weight {style}: "
        "training needs both; use values above 0"
    )


# The rest


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"batch_size": 0, "weights": LossWeights()}, "batch size 0 is too small; use 1 or more"),
        (
            {"batch_size": 1},
            "batch size 1 leaves the contrastive loss nothing to contrast; "
            "use 2 or more, or pass contrastive_weight=0",
        ),
        *(
            (
                {"image_size": size},
                f"thumbnail size {size // 2} cannot be used; use a multiple of 8 px, 16 or more",
            )
            for size in (0, 16, 40, 500)
        ),
        ({"image_size": 33}, "image size 33 is not a multiple of thumbnail size 16; use 32"),
        (
            {"image_size": 64, "thumbnail_size": 128},
            "image size 64 is not a multiple of thumbnail size 128; use 128",
        ),
        (
            {"image_size": 64, "thumbnail_size": 64},
            "thumbnails as large as the pictures (64 px) leave the stroke loss no effect; pass "
            "image_size=128, or pass stroke_weight=0",
        ),
        ({"precision": "fp16"}, "precision 'fp16' is unknown; use auto, fp32 or bf16"),
        *(
            (
                {"clip_norm": norm, "ema_decay": decay},
                f"gradient norm {norm} and average decay {decay} cannot be used; "
                "use a norm above 0, and a decay of 0 or more, below 1",
            )
            for norm, decay in ((0, 0.9), (-1, 0.9), (math.inf, 0.9), (NAN, 0.9))
        ),
        *(
            (
                {"clip_norm": 1, "ema_decay": decay},
                f"gradient norm 1 and average decay {decay} cannot be used; "
                "use a norm above 0, and a decay of 0 or more, below 1",
            )
            for decay in (-0.1, 1, NAN)
        ),
        *(
            ({"brushwork": strength}, f"brushwork {strength:g} is out of range; use 0 to 1")
            for strength in (-0.1, 1.5, NAN)
        ),
        *(
            (
                {"style_crops": crops, "deep_every": every},
                f"{crops} crops of each style, and relu4_1 in one of {every} steps, cannot be "
                "used; use 0 or more crops, and 1 or more steps",
            )
            for crops, every in ((-1, 1), (0, 0), (3, -2))
        ),
        *(
            ({"seed": seed}, f"seed {seed} is out of range; use 0 to 2**63 - 1")
            for seed in (-1, 2**63)
        ),
        *(
            (
                {"checkpoint_minutes": minutes},
                f"{minutes} minutes between checkpoints cannot be used; use 0 or more",
            )
            for minutes in (-1, math.inf, NAN)
        ),
    ],
    ids=str,
)
def test_refused_settings(chosen, message):
    assert refusal(settings(**chosen)) == message


@pytest.mark.parametrize(
    "chosen",
    [
        {"batch_size": 1, "weights": LossWeights()},
        {"image_size": 32},
        {"image_size": 48},
        {"image_size": 72, "thumbnail_size": 24},
        {"image_size": 64, "thumbnail_size": 64, "weights": LossWeights(stroke=0)},
        {"ema_decay": 0},
        {"seed": 2**63 - 1},
        {"checkpoint_minutes": 0},
        {"style_crops": 1, "deep_every": 1000},
        *({"precision": name} for name in ("auto", "fp32", "bf16")),
        *({"weights": entry.default_weights} for entry in RECIPES),
    ],
    ids=str,
)
def test_settings_at_their_limits(chosen):
    assert settings(**chosen).check() is None


def test_description_names_all_but_length_precision_and_device():
    described = settings(learning_rate=0.25, seed=7).description()
    assert described == {
        "learning rate": "0.25",
        "warmup": "2",
        "final share": "0.01",
        "batch size": "2",
        "image size": "32",
        "thumbnail size": "16",
        "brushwork": "0.0",
        "style crops": "0",
        "deep every": "1",
        "gradient norm": "10.0",
        "average decay": "0.999",
        "seed": "7",
        "content weight": "1.0",
        "style weight": "3.0",
        "stroke weight": "1.0",
        "contrastive weight": "3.0",
        "total_variation weight": "0.0",
        "grid weight": "0.0",
        "out_of_range weight": "0.0",
        "ssim weight": "0.0",
        "color weight": "0.0",
        "teacher weight": "0.0",
    }
    other = settings(learning_rate=0.25, seed=7, steps=9, checkpoint_minutes=1, precision="bf16")
    assert other.description() == described


# Precision


def test_precision_that_was_asked_for():
    cpu = torch.device("cpu")
    assert training_dtype("fp32", cpu) == torch.float32
    assert training_dtype("bf16", cpu) == torch.bfloat16
    assert training_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({}, torch.float32),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
    ],
    ids=str,
)
def test_automatic_precision_of_a_processor(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert training_dtype("auto", torch.device("cpu")) == dtype


def test_automatic_precision_with_an_old_pytorch(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert training_dtype("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((12, 0), torch.bfloat16)],
)
def test_automatic_precision_of_a_gpu(monkeypatch, capability, dtype):
    """Turing and older ones only emulate bfloat16."""
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert training_dtype("auto", torch.device("cuda")) == dtype


@pytest.mark.parametrize(("supported", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_automatic_precision_of_an_amd_gpu(monkeypatch, supported, dtype):
    monkeypatch.setattr(torch.version, "hip", "6.0")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert training_dtype("auto", torch.device("cuda")) == dtype
