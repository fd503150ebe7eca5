"""The five steps of CONTRIBUTING.md, followed with a toy backbone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from examples import picture, random_backbone, save_picture, stored_picture
from safetensors.torch import save_file
from torch import nn

import urst_core.cli.main
from urst_core.backbones import REGISTRY
from urst_core.method.run import Run
from urst_core.networks.folding import fold_output, kernel_of
from urst_core.networks.layers.banded import RowSequence
from urst_core.networks.layers.convolutions import OutputConvolution, TileConvolution
from urst_core.networks.network import StylizationNetwork, Traits
from urst_core.networks.reach import Convolution
from urst_core.networks.sites import Site, measure_features, replay
from urst_core.networks.statistics import ChannelStats, stats_at
from urst_core.networks.style import StyleCode
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import Settings

CONTRIBUTING = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


# Step 1: the network under its published parameter names, its traits, its sites.
class Toy(StylizationNetwork):
    traits = Traits(
        name="toy",
        title="Toy",
        stride=2,
        layers=(Convolution(5), Convolution(3)),
        minimum=8,
        bytes_per_pixel=100,
        half_precision=(),
        license="none",
        paper="none",
    )
    site_names = ("middle",)

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 5, padding=2, padding_mode="reflect")
        self.last = nn.Conv2d(6, 3, 3, padding=1, padding_mode="reflect")

    # Step 2: the style code, and the forward pass that yields each site.
    def style_code(self, style):
        stats = measure_features(self.first(style))
        return StyleCode({"middle.mean": stats.mean, "middle.std": stats.std})

    def stages(self, image, code):
        target = code.channel_stats("middle")
        normalized = yield Site("middle", self.first(image))
        return self.last(torch.relu(normalized * target.std + target.mean))

    # Step 3: the tile network.
    def fold(self, code, sites):
        affine = stats_at(sites, "middle", ChannelStats).affine_to(code.channel_stats("middle"))
        return RowSequence(
            [
                TileConvolution(fold_output(kernel_of(self.first), *affine), relu=True),
                OutputConvolution(kernel_of(self.last)),
            ]
        )


@pytest.fixture
def registered(monkeypatch):
    """Step 4: the registry."""
    monkeypatch.setitem(REGISTRY, "toy", f"{__name__}:Toy")


def test_the_guide_has_the_steps_that_are_walked_here():
    section = (
        CONTRIBUTING.read_text(encoding="utf-8").split("## Add a backbone")[1].split("\n## ")[0]
    )
    steps = re.findall(r"^\d\. .*(?:\n   .*)*", section, flags=re.MULTILINE)
    assert len(steps) == 5
    for step, word in zip(steps, ("Traits", "stages", "fold", "registry", "published code")):
        assert word in step


@pytest.mark.slow
def test_its_tiles_are_exact():
    backbone = random_backbone(Toy)
    assert backbone.traits.halo == 4
    content = TensorSource(picture((63, 90)))
    settings = Settings(strokes="fine", thumbnail_size=32)
    stats = Run.of(content, backbone, settings).measure([TensorSource(picture((40, 40), seed=5))])
    pictures = []
    for tile_size in (200, 16, 6):
        canvas = TensorCanvas(content.size, dtype=torch.float32)
        run = Run.of(content, backbone, Settings(tile_size=tile_size))
        run.stylize(run.network(stats), canvas)
        pictures.append(canvas.pixels)
    assert float(pictures[0].std()) > 0.01
    for tiled in pictures[1:]:
        assert float((tiled - pictures[0]).abs().max()) <= 1e-5


def test_baked_equals_unbaked():
    backbone = random_backbone(Toy)
    image = picture((32, 40)).unsqueeze(0)
    stats = backbone.collect(image, backbone.encode_style([picture((40, 40), seed=5)[None]]))
    with torch.inference_mode():
        unbaked = replay(backbone.network.stages(image, stats.code), stats.sites)
        assert float((backbone.bake(stats)(image) - unbaked).abs().max()) <= 1e-4


@pytest.mark.usefixtures("registered")
def test_it_can_be_chosen_on_the_command_line(tmp_path, capsys):
    content = save_picture(tmp_path / "content.png", stored_picture((40, 50)))
    style = save_picture(tmp_path / "style.png", stored_picture((40, 50), seed=3))
    weights = tmp_path / "toy.safetensors"
    save_file(random_backbone(Toy).network.state_dict(), weights)
    command = ["stylize", str(content), str(style), "--backbone", "toy", "--quiet"]
    result = tmp_path / "result.png"
    arguments = [*command, "--weights", str(weights), "-o", str(result)]
    assert urst_core.cli.main.main(arguments) == 0
    assert result.is_file()
    assert urst_core.cli.main.main([*command, "-o", str(tmp_path / "other.png")]) == 1
    assert "Toy has no embedded weights" in capsys.readouterr().err
