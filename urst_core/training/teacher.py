"""Distillation: networks learn to paint what the built-in MicroAST paints (Hinton et al., 2015).

A painting to compare with costs a small part of the VGG's losses, and says of each pixel what it
should be, so a network paints recognizably after minutes. It learns no more than its teacher does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from ..backbones.microast import MicroAST
from ..networks.remembering import Memory, digest
from ..networks.sites import collect
from ..networks.style import StyleCode
from ..weights.loading import load_backbone
from .normalization import batch_stats, measure_batch


class Teacher:
    """The built-in network, frozen; crops of styles that recur are encoded once."""

    def __init__(self) -> None:
        network = load_backbone().network
        assert isinstance(network, MicroAST)
        self.network = network
        self._codes = Memory()

    @torch.no_grad()
    def paint(self, thumbnails: Tensor, styles: Tensor) -> Tensor:
        """Stylize (N, 3, T, T) thumbnails, each in its style, clamped to 0..1."""
        self.network.to(thumbnails.device)
        _, painted = collect(self.network.stages(thumbnails, self._code(styles)), measure_batch)
        return painted.float().clamp(0.0, 1.0)

    def _code(self, styles: Tensor) -> StyleCode:
        """The codes of (N, 3, T, T) styles; one by one, so that all batches agree."""
        each = [
            self._codes.recall(digest(style), partial(self._encode, style))
            for style in styles.split(1)
        ]
        return StyleCode(
            {name: torch.cat([code[name] for code in each]).to(styles.device) for name in each[0]}
        )

    def _encode(self, style: Tensor) -> Mapping[str, Tensor]:
        return self.network.style_signals(style, batch_stats).tensors
