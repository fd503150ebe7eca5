"""Made-up pictures and weights that several tests use."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from urst_core.backbones.wct import WCT
from urst_core.networks.model import Backbone
from urst_core.networks.network import StylizationNetwork
from urst_core.networks.sites import collect
from urst_core.networks.style import StyleCode
from urst_core.weights.checkpoint import build_backbone

OUTPUT_LAYERS: dict[str, str | None] = {"cin": None}
"""The layer that makes the picture, by backbone, where it is not the last convolution.

None where the network itself keeps pictures in 0..1.
"""

INNER_PICTURES: dict[str, tuple[str, ...]] = {
    "wct": ("decoder3.15", "decoder2.8"),
    "cd16x": ("5SD.conv11", "4SD.conv11", "3SD.conv11", "2SD.conv11"),
}
"""Layers that make a picture for the next network of a cascade, in the order in which they run."""

SMALLER: dict[str, Callable[[], StylizationNetwork]] = {"wct": lambda: WCT((3, 2, 1))}
"""Sizes of a network that are tested instead of its largest, which takes minutes on a CPU."""


LARGEST = (
    *("adain", "linear_r31", "linear_r41", "johnson", "johnson_examples", "msgnet", "multimodal"),
    *("cd16x", "wct", "din", "metanet"),
)
"""Networks that take seconds where others take tenths of one."""


def slow_where_large(names: Iterable[str]) -> list[Any]:
    """Parameters of a test: names of backbones, the largest of them marked as slow."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in LARGEST else []) for name in names
    ]


def random_backbone(network_class: type[StylizationNetwork], seed: int = 0) -> Backbone:
    """A network in its published shape; its last layer is scaled to give pictures in 0..1."""
    network = SMALLER.get(network_class.traits.name, network_class)()
    state = random_state(network, seed)
    network.load_state_dict(state)
    with torch.inference_mode():
        style = picture((64, 64), seed=1).unsqueeze(0)
        code = Backbone(network.eval(), "").encode_style(network.style_names[:1] or [style])
        content = picture((64, 64), seed=2).unsqueeze(0)
        for layer in INNER_PICTURES.get(network.traits.name, ()):
            keep_in_range(network, layer, content, code)
        _, output = collect(network.stages(content, code))
    *_, last = (name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    last = OUTPUT_LAYERS.get(network.traits.name, last)
    if last is None:
        return build_backbone(network_class, state, origin="random")
    state = network.state_dict()
    gain = 0.15 / output.std()
    state[f"{last}.weight"] = state[f"{last}.weight"] * gain
    state[f"{last}.bias"] = 0.5 + (state[f"{last}.bias"] - output.mean()) * gain
    return build_backbone(network_class, state, origin="random")


def keep_in_range(
    network: StylizationNetwork, layer_name: str, content: Tensor, code: StyleCode
) -> None:
    """Scale a convolution so that its result for the content is a picture in 0..1."""
    layer = network.get_submodule(layer_name)
    assert isinstance(layer, nn.Conv2d)
    outputs: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: outputs.append(output.clone()))
    collect(network.stages(content, code))
    handle.remove()
    gain = 0.15 / outputs[0].std()
    layer.weight.mul_(gain)
    layer.bias.copy_(0.5 + (layer.bias - outputs[0].mean()) * gain)


def random_state(network: StylizationNetwork, seed: int) -> dict[str, Tensor]:
    """Convolutions that keep the scale of their inputs, scales near 1, small biases."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim == 4 and value.shape[0] > 1:
            state[name] = noise * (2.0 / value[0].numel()) ** 0.5
        elif value.ndim in (2, 3):
            state[name] = noise / value.shape[-1] ** 0.5
        elif name.endswith("weight"):
            state[name] = 1.0 + 0.1 * noise
        else:
            state[name] = 0.05 * noise
    return state


def picture(size: tuple[int, int], *, seed: int = 0, channels: int = 3) -> Tensor:
    """Smooth shapes and fine noise, (C, H, W), float32, 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, channels, 5, 7, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=size, mode="bicubic", align_corners=True)[0]
    noise = torch.rand(channels, *size, generator=generator)
    return (0.7 * smooth + 0.3 * noise).clamp(0.0, 1.0)


def stored_picture(
    size: tuple[int, int], dtype: torch.dtype = torch.uint8, *, seed: int = 0, channels: int = 3
) -> Tensor:
    """The same as integers, (C, H, W), uint8 or uint16."""
    full_scale = torch.iinfo(dtype).max
    values = picture(size, seed=seed, channels=channels) * full_scale
    return values.round().to(torch.int32).to(dtype)


def save_picture(path: Path, pixels: Tensor, **options: Any) -> Path:
    """Write (C, H, W) integers with 1 to 4 channels by libvips alone; returns the path."""
    import pyvips  # noqa: PLC0415 - tests of the nodes run without it

    rows = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    kinds = ("b-w", "srgb") if pixels.dtype == torch.uint8 else ("grey16", "rgb16")
    image = pyvips.Image.new_from_array(rows, interpretation=kinds[pixels.shape[0] > 2])
    image.write_to_file(str(path), **options)
    return path


def load_picture(path: Path) -> Tensor:
    """Read (C, H, W) integers as the file stores them, by libvips alone."""
    import pyvips  # noqa: PLC0415 - tests of the nodes run without it

    image = pyvips.Image.new_from_file(str(path), revalidate=True)
    rows = image.numpy().reshape(image.height, image.width, image.bands)
    return torch.from_numpy(rows.copy()).permute(2, 0, 1)


def seeder(shared: Path) -> Callable[..., dict[str, Tensor]]:
    """What made the weights of the golden files, from shapes and a seed; lies beside them."""
    return runpy.run_path(str(shared / "golden" / "seeded.py"))["seeded_state_dict"]


def golden_state(name: str, shared: Path) -> dict[str, Tensor]:
    """The weights of a golden file whose groups of keys become prefixes."""
    recipe = json.loads((shared / "golden" / f"{name}.json").read_text())
    return {
        f"{group}.{key}": value
        for group, shapes in recipe["shapes"].items()
        for key, value in seeder(shared)(shapes, recipe["seed"][group]).items()
    }
