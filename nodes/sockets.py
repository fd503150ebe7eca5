"""The pack's own socket types, and inputs that several nodes share."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from comfy_api.latest import io
from torch import Tensor

from ..urst_core.choices import LARGEST_FEATHER, PER_PICTURE
from ..urst_core.tiling.device import PRECISIONS

if TYPE_CHECKING:
    from ..urst_core.networks.model import Backbone
    from ..urst_core.networks.saved_style import SavedStyle

CATEGORY = "image/style transfer"

BackboneSocket = io.Custom("URST_BACKBONE")
StatsSocket = io.Custom("URST_STATS")
LayoutSocket = io.Custom("URST_LAYOUT")
LevelSocket = io.Custom("URST_LEVEL")
StyleSocket = io.Custom("URST_STYLE")
RegionsSocket = io.Custom("URST_REGIONS")

LARGEST_SIZE = 1 << 16
"""Upper limit of size widgets, in px."""


@dataclass(frozen=True)
class LoadedBackbone:
    """Value of a URST_BACKBONE socket: a backbone, and where and how precisely it runs.

    Immutable, since ComfyUI caches and shares what nodes return.

    Attributes:
        backbone: network and weights, on the CPU; remembers how it encoded pictures, as long as
            ComfyUI keeps this value.
        precision: as in the engine's settings.
        device: ``auto`` for the device that ComfyUI uses, or ``cpu``.
    """

    backbone: Backbone
    precision: str
    device: str

    @classmethod
    def of(cls, backbone: Backbone, precision: str, device: str) -> LoadedBackbone:
        from ..urst_core.networks.remembering import RememberingBackbone

        return cls(RememberingBackbone(backbone.network, backbone.fingerprint), precision, device)

    def __repr__(self) -> str:
        """In one line: ComfyUI prints a node's inputs with its errors."""
        return f"{self.backbone!r} in {self.precision} on {self.device}"


@dataclass(frozen=True)
class StyleMixture:
    """Value of a URST_STYLE socket from Mix Styles: styles that are encoded where they are used.

    Attributes:
        styles: IMAGEs and values of other URST_STYLE sockets.
        shares: of each, with a sum of 1.
    """

    styles: tuple[AnyStyleValue, ...]
    shares: tuple[float, ...]

    def __repr__(self) -> str:
        """In one line, without pixels: ComfyUI prints a node's inputs with its errors."""
        return f"StyleMixture({len(self.styles)} styles, shares {self.shares})"


SavedOrMixed: TypeAlias = "SavedStyle | StyleMixture"
"""Value of a URST_STYLE socket."""

AnyStyleValue: TypeAlias = "Tensor | SavedOrMixed"
"""Value of a socket that takes an IMAGE or a URST_STYLE."""


def found_by(words: str, *, essentials: str | None = None) -> dict[str, Any]:
    """Keyword arguments for a schema that let users find the node by other words.

    Args:
        words: separated by commas.
        essentials: its place in the page's list of essential nodes, if any.

    Returns:
        Only arguments that this ComfyUI's schemas have (0.3.64 and 0.8.0 have none of them): an
        unknown argument would fail, and ComfyUI drops all nodes after one that fails.
    """
    facts = {
        "search_aliases": [word.strip() for word in words.split(",")],
        "essentials_category": essentials,
    }
    known = inspect.signature(io.Schema).parameters
    return {name: value for name, value in facts.items() if value and name in known}


def folded_away(socket: io.Input) -> io.Input:
    """Mark an input that few users change: newer pages fold it away, older ones ignore the mark.

    Set on the input, since 0.3.64 and 0.8.0 have no argument for it.
    """
    socket.extra_dict = {**socket.extra_dict, "advanced": True}
    return socket


def computing_inputs() -> list[io.Input]:
    """How precisely and where a backbone computes."""
    return [
        folded_away(
            io.Combo.Input(
                "precision",
                options=["auto", *PRECISIONS],
                default="auto",
                tooltip="auto: half precision on CUDA devices if a trial on the picture "
                "shows that it is accurate enough, otherwise fp32.",
            )
        ),
        folded_away(
            io.Combo.Input(
                "device",
                options=["auto", "cpu"],
                default="auto",
                tooltip="auto: the device that ComfyUI uses. cpu: does not use the GPU.",
            )
        ),
    ]


def backbone_input() -> io.Input:
    return BackboneSocket.Input("backbone", tooltip="The stylization network, from Load Backbone.")


def style_input() -> io.Input:
    return io.Image.Input(
        "style",
        optional=True,
        tooltip="The picture whose style is used. The pictures of a batch are mixed in equal "
        "shares. Leave it unconnected for backbones with built-in styles.",
    )


def share_input(name: str, *, default: float, tooltip: str, optional: bool = False) -> io.Input:
    """A number from 0 to 1."""
    return io.Float.Input(
        name,
        optional=optional,
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip=tooltip,
    )


def size_input(name: str, *, default: int, tooltip: str, optional: bool = False) -> io.Input:
    """A length in px, which few users change; 0 has a meaning of its own."""
    return folded_away(
        io.Int.Input(
            name,
            optional=optional,
            default=default,
            min=0,
            max=LARGEST_SIZE,
            step=8,
            tooltip=tooltip,
        )
    )


def other_style_inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "style_2",
            optional=True,
            tooltip="A second style, of any size, to mix with the first.",
        ),
        share_input(
            "style_2_weight",
            default=0.5,
            optional=True,
            tooltip="Share of the second style: 0 is only the first, 1 only the second. Has no "
            "effect without a second style.",
        ),
        folded_away(
            io.String.Input(
                "style_names",
                optional=True,
                default="",
                tooltip="Only for backbones with several built-in styles: the name of one, or "
                "several names separated by commas, which are mixed in equal shares.",
            )
        ),
        StyleSocket.Input(
            "saved_style",
            optional=True,
            tooltip="A style from Load Style, Save Style or Mix Styles. If style is connected, "
            "too, each of its pictures has the same share as this style.",
        ),
    ]


def mask_inputs(mask_tooltip: str) -> list[io.Input]:
    """A mask and its feather."""
    return [
        io.Mask.Input("mask", optional=True, tooltip=mask_tooltip),
        mask_feather_input(),
    ]


def mask_feather_input() -> io.Input:
    return io.Int.Input(
        "mask_feather",
        optional=True,
        default=0,
        min=0,
        max=LARGEST_FEATHER,
        tooltip="Width, in px inside the mask, over which the style fades in. Nothing changes "
        "outside the mask. 0 keeps the mask's own edge.",
    )


def batch_statistics_input(kinds: Sequence[str], tooltip: str) -> io.Input:
    return io.Combo.Input(
        "batch_statistics",
        optional=True,
        options=list(kinds),
        default=PER_PICTURE,
        tooltip=tooltip,
    )
