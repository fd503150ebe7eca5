"""Runs the published code of two methods from the user's checkout; none of it is included here.

- adain: https://github.com/czczup/URST, ``Huang2017AdaIN``: patches with 32 px of padding.
- microast: https://github.com/EndyWon/MicroAST: the whole picture at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from urst_core.geometry import Rectangle, cut
from urst_core.networks.model import Backbone

PADDING = 32
"""URST's default, in px; too little for exact tiles, and less work than ours."""


def published_run(
    backbone: Backbone, checkout: Path, picture: Tensor, thumbnail: Tensor, style: Tensor, edge: int
) -> Callable[[], None]:
    """A function that stylizes the picture once by the published code, with our weights.

    It runs where the backbone is; pictures stay in host memory between patches, as in URST.

    Args:
        backbone: ``adain`` or ``microast``.
        checkout: of the repository named above.
        picture, thumbnail, style: (1, 3, H, W), float32, 0..1.
        edge: of the patches, in px, where there are any.
    """
    name = backbone.traits.name
    runs = {"adain": _adain, "microast": _microast}
    if name not in runs:
        sys.exit(f"the published code of {name} is not run here; use {' or '.join(runs)}")
    if name == "microast":
        sys.path.insert(0, str(checkout))
        return _microast(backbone, picture, style)
    sys.path[:0] = [str(checkout / "Huang2017AdaIN"), str(checkout)]
    return _adain(backbone, picture, thumbnail, style, edge)


def _microast(backbone: Backbone, picture: Tensor, style: Tensor) -> Callable[[], None]:
    code = importlib.import_module("net_microAST")
    network = code.TestNet(code.Encoder(), code.Encoder(), code.Modulator(), code.Decoder())
    network.load_state_dict(backbone.network.state_dict())
    network.eval().to(backbone.device)

    def run() -> None:
        with torch.no_grad():
            network(picture.to(backbone.device), style.to(backbone.device), 1.0).cpu()

    return run


def _adain(
    backbone: Backbone, picture: Tensor, thumbnail: Tensor, style: Tensor, edge: int
) -> Callable[[], None]:
    code = importlib.import_module("model")
    norms = importlib.import_module("thumb_instance_norm")
    device = backbone.device
    vgg = torch.nn.Sequential(*list(code.vgg.children())[:31]).eval()
    vgg.load_state_dict(backbone.network.get_submodule("vgg").state_dict())
    decoder = code.decoder.eval()
    decoder.load_state_dict(backbone.network.get_submodule("decoder").state_dict())
    norm = norms.ThumbAdaptiveInstanceNorm().eval()
    for network in (vgg, decoder, norm):
        network.to(device)
    size = (picture.shape[2], picture.shape[3])
    windows = [
        core.grown(PADDING).clipped(size).slices for core in cut(Rectangle.of_size(size), edge)
    ]
    with torch.no_grad():
        style_features = vgg(style.to(device))
        norms.init_thumbnail_instance_norm(norm, collection=True)
        norm(vgg(thumbnail.to(device)), style_features)
        norms.init_thumbnail_instance_norm(norm, collection=False)

    def run() -> None:
        with torch.no_grad():
            for window in windows:
                patch = picture[(..., *window)].to(device)
                decoder(norm(vgg(patch), style_features)).cpu()

    return run
