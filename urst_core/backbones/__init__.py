"""The registry: every backbone there is, as an explicit tuple; the first is the default."""

from __future__ import annotations

from ..errors import SettingsError
from ..networks.network import StylizationNetwork
from .adain import AdaIN
from .conditional import ConditionalNormalization
from .johnson import Johnson, JohnsonExamples
from .linear import LinearR31, LinearR41
from .microast import MicroAST
from .msgnet import MSGNet
from .multimodal import Multimodal
from .wct import WCT, CollaborativeDistillation

BACKBONES: tuple[type[StylizationNetwork], ...] = (
    MicroAST,
    AdaIN,
    LinearR31,
    LinearR41,
    Johnson,
    JohnsonExamples,
    ConditionalNormalization,
    MSGNet,
    Multimodal,
    WCT,
    CollaborativeDistillation,
)

DEFAULT_BACKBONE = BACKBONES[0].traits.name


def find_backbone(name: str) -> type[StylizationNetwork]:
    """The network class registered under ``name``.

    Raises:
        SettingsError: there is none.
    """
    for network in BACKBONES:
        if network.traits.name == name:
            return network
    names = ", ".join(network.traits.name for network in BACKBONES)
    raise SettingsError(f"backbone {name!r} is unknown; use one of: {names}")
