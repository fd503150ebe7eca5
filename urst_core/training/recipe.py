"""What a training recipe is: a network, which of its parts learn, and the losses of one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from ..networks.network import StylizationNetwork
from ..networks.style import StyleCode
from ..weights.checkpoint import fingerprint
from .batches import Batch
from .losses import (
    color_loss,
    content_loss,
    grid_loss,
    mean_std_loss,
    out_of_range_loss,
    ssim_loss,
    stroke_perceptual_loss,
    total_variation_loss,
)
from .normalization import stylize_thumbnail_and_patch
from .vgg import VGGFeatures, detached, features_without_gradient

PATCH_RANGE = (-10.0, 11.0)
"""Pixels of stylized patches beyond these values are as wrong as they can be."""


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts; one of weight 0 is not computed.

    Attributes:
        content, style: the two of every method.
        stroke: URST's stroke perceptual loss.
        contrastive: MicroAST's style-signal contrastive loss; other recipes have none.
        total_variation: of the stylized thumbnail.
        grid: of the stylized thumbnail, what its enlargements leave.
        out_of_range: of all stylized pixels.
        ssim: how far the stylized thumbnail's structure is from the content's.
        color: how far the stylized thumbnail's colors are from the style's; only where styles
            are pictures of a batch.
    """

    content: float = 1.0
    style: float = 1.0
    stroke: float = 1.0
    contrastive: float = 0.0
    total_variation: float = 0.0
    grid: float = 0.0
    out_of_range: float = 0.0
    ssim: float = 0.0
    color: float = 0.0

    def check(self) -> None:
        """Refuse weights that are negative, not finite, or teach nothing.

        Raises:
            SettingsError: see the messages.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if not 0.0 <= value < float("inf"):
                raise SettingsError(f"{name} weight {value} cannot be used; use 0 or more")
        if self.content == 0 or self.style == 0:
            raise SettingsError(
                f"content weight {self.content} and style weight {self.style}: "
                "a network learns nothing without both; use values above 0"
            )


class Recipe(ABC):
    """How one network is trained; the losses common to all are computed here.

    Attributes:
        network: in float32; only the parameters under ``learned`` are changed.
        vgg: frozen, what losses are measured in.
        default_weights: of the losses, as the method's paper or code has them.
        takes_styles: whether batches must hold styles.
        has_signals: whether styles have signals that can be told apart.
        learned: prefixes of the names of the parameters that learn.
    """

    network: StylizationNetwork
    vgg: VGGFeatures
    default_weights: LossWeights
    takes_styles: bool = True
    has_signals: bool = False
    learned: tuple[str, ...] = ("",)

    def modules(self) -> tuple[nn.Module, ...]:
        """All modules that must be on the training device."""
        return self.network, self.vgg

    def learned_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and values of what learns, in a fixed order."""
        for name, parameter in self.network.named_parameters():
            if name.startswith(self.learned):
                yield name, parameter

    def description(self) -> dict[str, str]:
        """What determines the result beside settings and pictures."""
        return {
            "backbone": self.network.traits.name,
            "VGG": self.vgg_digest,
        }

    @cached_property
    def vgg_digest(self) -> str:
        """Of the VGG's weights as they were given, before :meth:`prepare` narrows them."""
        return fingerprint(self.vgg.state_dict())[:12]

    def check(self, weights: LossWeights) -> None:
        """Refuse losses that this network cannot be trained with.

        Raises:
            SettingsError: the contrastive loss counts, and there is nothing to contrast; or the
                color loss does, and batches have no styles.
        """
        if weights.contrastive and not self.has_signals:
            raise SettingsError(
                f"{self.network.traits.title} has no style signals to contrast; "
                "leave the contrastive loss at weight 0"
            )
        if weights.color and not self.takes_styles:
            raise SettingsError(
                f"{self.network.traits.title} is trained for one style, not for pictures of a "
                "batch; leave the color loss at weight 0"
            )

    def prepare(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        """Move everything to a device, and let only what learns have gradients.

        Args:
            device: to train on.
            dtype: of the frozen VGG's weights and features.
        """
        _ = self.vgg_digest
        self.vgg.to(dtype)
        for module in self.modules():
            module.to(device=device)
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.network.requires_grad_(False)
        for _, parameter in self.learned_parameters():
            parameter.requires_grad_(True)

    @abstractmethod
    def code(self, styles: Tensor | None, count: int) -> StyleCode:
        """The style code of each picture of a batch of ``count``."""

    def losses(self, batch: Batch, weights: LossWeights) -> dict[str, Tensor]:
        """The weighted losses of one step, float32 scalars with gradients.

        Style and content are those of the stylized thumbnails; patches are stylized with the
        thumbnails' statistics, and only where the stroke perceptual loss counts (URST, 3.4).
        """
        code = self.code(batch.styles, len(batch.thumbnails))
        stylized, patches = stylize_thumbnail_and_patch(
            self.network.stages(batch.given, code),
            self.network.stages(batch.patches, code) if weights.stroke else None,
        )
        features = self.vgg(stylized)
        losses = {
            "content": self.content_loss(features, batch, code),
            "style": self.style_loss(features, batch),
        }
        if patches is not None:
            # Where a thumbnail is flat and its patch is not, the patch is divided by almost
            # nothing; one such picture would outweigh all others.
            patches = patches.clamp(*PATCH_RANGE)
            target = batch.patch_of(stylized.detach())
            losses["stroke"] = stroke_perceptual_loss(
                self.vgg(patches)[-1], features_without_gradient(self.vgg, target)[-1]
            )
        if weights.contrastive:
            losses["contrastive"] = self.contrastive_loss(stylized, code)
        if weights.total_variation:
            losses["total_variation"] = total_variation_loss(stylized)
        if weights.grid:
            losses["grid"] = grid_loss(stylized)
        if weights.out_of_range:
            shown = [stylized] if patches is None else [stylized, patches]
            losses["out_of_range"] = torch.stack([out_of_range_loss(p) for p in shown]).mean()
        if weights.ssim:
            losses["ssim"] = ssim_loss(stylized, batch.thumbnails)
        if weights.color:
            assert batch.styles is not None
            losses["color"] = color_loss(stylized, batch.styles)
        return {name: getattr(weights, name) * loss for name, loss in losses.items()}

    def content_loss(self, features: Sequence[Tensor], batch: Batch, code: StyleCode) -> Tensor:
        """Difference to the content's own relu4_1 features."""
        del code
        target = features_without_gradient(self.vgg, batch.thumbnails)[-1]
        return content_loss(features[-1], target)

    def style_loss(self, features: Sequence[Tensor], batch: Batch) -> Tensor:
        """Difference to the styles' means and deviations at all four layers."""
        assert batch.styles is not None
        return mean_std_loss(features, detached(features_without_gradient(self.vgg, batch.styles)))

    def contrastive_loss(self, stylized: Tensor, code: StyleCode) -> Tensor:
        """Of networks whose styles have signals; :meth:`check` refuses it for others."""
        raise NotImplementedError

    @torch.no_grad()
    def show(self, contents: Tensor, styles: Tensor | None) -> Tensor:
        """Stylize (N, 3, H, W) contents, each with statistics of its own, clamped to 0..1."""
        code = self.code(styles, len(contents))
        stylized, _ = stylize_thumbnail_and_patch(self.network.stages(contents, code), None)
        return stylized.float().clamp(0.0, 1.0)
