"""Distillation: networks learn to paint what the built-in MicroAST paints (Hinton et al., 2015).

A painting to compare with costs a small part of the VGG's losses, and says of each pixel what it
should be, so a network paints recognizably after minutes. It learns no more than its teacher does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..backbones.microast import MicroAST
from ..networks.sites import collect
from ..weights.loading import load_backbone
from .normalization import batch_stats, measure_batch


class Teacher:
    """The built-in network, frozen."""

    def __init__(self) -> None:
        network = load_backbone().network
        assert isinstance(network, MicroAST)
        self.network = network

    @torch.no_grad()
    def paint(self, thumbnails: Tensor, styles: Tensor) -> Tensor:
        """Stylize (N, 3, T, T) thumbnails, each in its style, clamped to 0..1."""
        self.network.to(thumbnails.device)
        code = self.network.style_signals(styles, batch_stats)
        _, painted = collect(self.network.stages(thumbnails, code), measure_batch)
        return painted.float().clamp(0.0, 1.0)
