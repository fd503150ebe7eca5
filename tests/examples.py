"""Made-up pictures and weights that several tests use."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from urst_core.backbone import Backbone, StylizationNetwork
from urst_core.tin import collect
from urst_core.weights import build_backbone


def random_backbone(network_class: type[StylizationNetwork], seed: int = 0) -> Backbone:
    generator = torch.Generator().manual_seed(seed)
    network = network_class()
    state = {
        name: torch.randn(value.shape, generator=generator)
        * ((2.0 / value[0].numel()) ** 0.5 if value.ndim == 4 else 0.05)
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(state)
    with torch.inference_mode():
        code = network.style_code(picture((64, 64), seed=1).unsqueeze(0))
        _, output = collect(network.stages(picture((64, 64), seed=2).unsqueeze(0), code))
    *_, last = (name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    gain = 0.15 / output.std()
    state[f"{last}.weight"] = state[f"{last}.weight"] * gain
    state[f"{last}.bias"] = 0.5 + (state[f"{last}.bias"] - output.mean()) * gain
    return build_backbone(network_class, state, origin="random")


def picture(size: tuple[int, int], *, seed: int = 0, channels: int = 3) -> Tensor:
    """Smooth shapes and fine noise, (C, H, W), float32, 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, 5, 7, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)[0]
    noise = torch.rand(channels, *size, generator=generator)
    return (0.7 * smooth + 0.3 * noise).clamp(0.0, 1.0)
