"""The registry of all backbones.

A network's module is imported on first use, since imports of the pack delay ComfyUI's start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from ..networks.network import StylizationNetwork

REGISTRY = {
    "microast": ".microast:MicroAST",
    "adain": ".adain:AdaIN",
    "linear_r31": ".linear:LinearR31",
    "linear_r41": ".linear:LinearR41",
    "johnson": ".johnson:Johnson",
    "johnson_examples": ".johnson:JohnsonExamples",
    "cin": ".conditional:ConditionalNormalization",
    "msgnet": ".msgnet:MSGNet",
    "multimodal": ".multimodal:Multimodal",
    "wct": ".wct:WCT",
    "cd16x": ".wct:CollaborativeDistillation",
    "din": ".din:DIN",
    "metanet": ".metanet:MetaNet",
}
"""The module and class of each backbone, by ``traits.name``. The first is the default."""

DEFAULT_BACKBONE = next(iter(REGISTRY))

AUTO = "auto"
"""In place of a backbone's name: the network that the weights belong to."""


def find_backbone(name: str) -> type[StylizationNetwork]:
    """The network class registered under ``name``.

    Raises:
        SettingsError: there is none.

    Example:
        >>> find_backbone("adain").traits.title
        'AdaIN'
    """
    check_name(name)
    module, _, class_name = REGISTRY[name].partition(":")
    network: type[StylizationNetwork] = getattr(import_module(module, __name__), class_name)
    return network


def all_backbones() -> tuple[type[StylizationNetwork], ...]:
    """Every network class, in the order of the registry."""
    return tuple(map(find_backbone, REGISTRY))


def check_name(name: str) -> None:
    """Check that a backbone is registered under ``name``.

    Raises:
        SettingsError: there is none.
    """
    if name not in REGISTRY:
        raise SettingsError(f"backbone {name!r} is unknown; use one of: {', '.join(REGISTRY)}")
