"""A training recipe: a network, its trained parameters, and the losses of one step."""

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
    out_of_range_loss,
    painting_loss,
    ssim_loss,
    stats_loss,
    stroke_perceptual_loss,
    total_variation_loss,
)
from .normalization import stylize_thumbnail_and_patch
from .style_targets import StyleTargets
from .teacher import Teacher
from .vgg import LAYER_ENDS, VGGFeatures, features_without_gradient

DEEPEST = len(LAYER_ENDS) - 1
"""Index of the VGG's last layer, relu4_1."""

PATCH_RANGE = (-10.0, 11.0)
"""Pixels of stylized patches are clamped to this range."""


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses; a loss of weight 0 is not computed.

    Attributes:
        content, style: the two losses of every method.
        stroke: URST's stroke perceptual loss.
        contrastive: MicroAST's style-signal contrastive loss; only for MicroAST.
        total_variation: total variation of the stylized thumbnail.
        grid: periodic patterns in the stylized thumbnail, which upsampling leaves.
        out_of_range: stylized pixels outside 0..1.
        ssim: difference between the structure of the stylized thumbnail and of the content.
        color: difference between the colors of the stylized thumbnail and of the style; only if
            batches have styles.
        teacher: difference from what the built-in MicroAST paints (distillation), in pixels, colors
            and structure; only if batches have styles. Content and style may then have weight 0,
            which saves most of the time.
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
    teacher: float = 0.0

    def check(self) -> None:
        """Check that weights are finite, not negative, and sufficient to train.

        Raises:
            SettingsError: see the messages.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if not 0.0 <= value < float("inf"):
                raise SettingsError(f"{name} weight {value} cannot be used; use 0 or more")
        if not self.teacher and (self.content == 0 or self.style == 0):
            raise SettingsError(
                f"content weight {self.content} and style weight {self.style}: "
                "training needs both; use values above 0"
            )


class Recipe(ABC):
    """Base class of recipes; computes the losses that all of them share.

    Attributes:
        network: in float32; only its ``learned`` parameters change.
        vgg: the frozen network whose features the losses compare.
        default_weights: weights of the losses in the method's paper or code.
        takes_styles: whether batches must have styles.
        has_signals: whether styles have signals for the contrastive loss.
        learned: name prefixes of the trained parameters.
        content_layer: index of the VGG layer at which the content loss is measured.
    """

    network: StylizationNetwork
    vgg: VGGFeatures
    default_weights: LossWeights
    takes_styles: bool = True
    has_signals: bool = False
    learned: tuple[str, ...] = ("",)
    content_layer: int = DEEPEST

    def modules(self) -> tuple[nn.Module, ...]:
        """All modules, which must be on the training device."""
        return self.network, self.vgg

    def learned_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and values of the trained parameters, in a fixed order."""
        for name, parameter in self.network.named_parameters():
            if name.startswith(self.learned):
                yield name, parameter

    def description(self) -> dict[str, str]:
        """Everything besides settings and pictures that determines the result."""
        return {
            "backbone": self.network.traits.name,
            "VGG": self.vgg_digest,
        }

    @cached_property
    def vgg_digest(self) -> str:
        """Digest of the VGG's original weights, before :meth:`prepare` converts them."""
        return fingerprint(self.vgg.state_dict())[:12]

    @cached_property
    def style_targets(self) -> StyleTargets:
        """Targets of the style loss; :meth:`prepare` must have been called."""
        return StyleTargets(self.vgg)

    @cached_property
    def teacher(self) -> Teacher:
        """The network that a student learns from."""
        return Teacher()

    def check(self, weights: LossWeights) -> None:
        """Check that the network supports the losses.

        Raises:
            SettingsError: the contrastive loss has a weight, but the network has no signals; or
                the color or teacher loss has, but batches have no styles.
        """
        if weights.contrastive and not self.has_signals:
            raise SettingsError(
                f"{self.network.traits.title} has no style signals to contrast; "
                "leave the contrastive loss at weight 0"
            )
        for name in ("color", "teacher"):
            if getattr(weights, name) and not self.takes_styles:
                raise SettingsError(
                    f"{self.network.traits.title} is trained for one style, and its batches have "
                    f"no styles; leave the {name} loss at weight 0"
                )

    def prepare(self, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        """Move everything to a device, and enable gradients only for the trained parameters.

        Args:
            device: device to train on.
            dtype: dtype of the frozen VGG's weights and features.
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

    def losses(self, batch: Batch, weights: LossWeights, *, deep: float = 1.0) -> dict[str, Tensor]:
        """Compute the weighted losses of one step, float32 scalars with gradients.

        Style and content losses compare the stylized thumbnails. Patches are stylized with the
        thumbnails' statistics, and only for the stroke perceptual loss (URST, section 3.4).

        Args:
            batch: the pictures.
            weights: weights of the losses.
            deep: factor of the losses at relu4_1. At 0 the VGG is evaluated up to relu3_1 only,
                and losses that need relu4_1 are left out.
        """
        code = self.code(batch.styles, len(batch.thumbnails))
        needs_patches = bool(weights.stroke and deep)
        stylized, patches = self.stylize(
            batch.given, code, batch.patches if needs_patches else None
        )
        losses: dict[str, Tensor] = {}
        if weights.content or weights.style:
            features = self.vgg(stylized, DEEPEST + 1 if deep else DEEPEST)
            if len(features) > self.content_layer:
                share = deep if self.content_layer == DEEPEST else 1.0
                losses["content"] = share * self.content_loss(features, batch, code)
            losses["style"] = self.style_loss(features, batch, deep)
        if patches is not None:
            # If a thumbnail is flat and its patch is not, the patch is divided by almost zero;
            # one such picture would outweigh all others.
            patches = patches.clamp(*PATCH_RANGE)
            target = batch.patch_of(stylized.detach())
            losses["stroke"] = deep * stroke_perceptual_loss(
                self.vgg(patches)[-1], features_without_gradient(self.vgg, target)[-1]
            )
        if weights.contrastive:
            losses["contrastive"] = self.contrastive_loss(stylized, code)
        if weights.total_variation:
            losses["total_variation"] = total_variation_loss(stylized)
        if weights.grid:
            losses["grid"] = grid_loss(stylized)
        if weights.out_of_range:
            losses["out_of_range"] = out_of_range_loss(stylized)
            if weights.stroke:  # patches contribute the other half
                losses["out_of_range"] = losses["out_of_range"] / 2
            if patches is not None:
                losses["out_of_range"] += deep * out_of_range_loss(patches) / 2
        if weights.ssim:
            losses["ssim"] = ssim_loss(stylized, batch.thumbnails)
        if weights.color:
            assert batch.styles is not None
            losses["color"] = color_loss(stylized, batch.styles)
        if weights.teacher:
            assert batch.styles is not None
            painted = self.teacher.paint(batch.thumbnails, batch.styles)
            losses["teacher"] = painting_loss(stylized, painted)
        return {name: getattr(weights, name) * loss for name, loss in losses.items()}

    def stylize(
        self, thumbnails: Tensor, code: StyleCode, patches: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Stylize (N, 3, T, T) thumbnails, and patches with the thumbnails' statistics.

        Args:
            thumbnails: the thumbnails, 0..1.
            code: their style codes, of :meth:`code`.
            patches: (N, 3, T, T), parts of the same pictures in full size; None for none.
        """
        return stylize_thumbnail_and_patch(
            self.network.stages(thumbnails, code),
            None if patches is None else self.network.stages(patches, code),
        )

    def content_loss(self, features: Sequence[Tensor], batch: Batch, code: StyleCode) -> Tensor:
        """Difference from the content's relu4_1 features."""
        del code
        target = features_without_gradient(self.vgg, batch.thumbnails)[-1]
        return content_loss(features[-1], target)

    def style_loss(self, features: Sequence[Tensor], batch: Batch, deep: float) -> Tensor:
        """Difference from the styles' means and standard deviations at each layer.

        Args:
            features: features of the stylized thumbnails, with or without relu4_1.
            batch: the batch whose styles are compared with.
            deep: factor of the part at relu4_1.
        """
        assert batch.styles is not None
        targets = self.style_targets.of(batch.styles, batch.style_names, len(features))
        shallow = stats_loss(features[:DEEPEST], targets[:DEEPEST])
        if len(features) == DEEPEST:
            return shallow
        return shallow + deep * stats_loss(features[DEEPEST:], targets[DEEPEST:])

    def contrastive_loss(self, stylized: Tensor, code: StyleCode) -> Tensor:
        """Contrastive loss of networks whose styles have signals; :meth:`check` refuses others."""
        raise NotImplementedError

    @torch.no_grad()
    def show(self, contents: Tensor, styles: Tensor | None) -> Tensor:
        """Stylize (N, 3, H, W) contents, each with its own statistics, clamped to 0..1."""
        stylized, _ = self.stylize(contents, self.code(styles, len(contents)), None)
        return stylized.float().clamp(0.0, 1.0)
