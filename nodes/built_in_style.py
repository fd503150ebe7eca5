"""Built-in Style: a style by its name, from weights that have several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..urst_core.backbones import AUTO
from ..urst_core.errors import WeightsError
from . import host
from .remedies import naming_inputs
from .sockets import (
    CATEGORY,
    BackboneSocket,
    LoadedBackbone,
    StyleSocket,
    computing_inputs,
    found_by,
)

if TYPE_CHECKING:
    from ..urst_core.networks.model import Backbone

NONE_INSTALLED = "no weights with several styles"
"""The only choice if no such weights are installed: ComfyUI refuses an empty list."""

NO_STYLE = "no style"


def can_nest() -> bool:
    """Whether this ComfyUI has choices with inputs of their own: from 0.8.0 on."""
    return hasattr(io, "DynamicCombo")


class BuiltInStyle(io.ComfyNode):
    """Weights and the name of one of their styles → BACKBONE, STYLE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        banks = host.style_banks() or {NONE_INSTALLED: (NO_STYLE,)}
        return io.Schema(
            node_id="URSTBuiltInStyle",
            display_name="Built-in Style",
            category=CATEGORY,
            description="Loads a network with several built-in styles, and one of them by its "
            "name. No painting is needed.",
            **found_by(
                "style transfer model, conditional instance normalization, cin, style bank, "
                "neural style, preset, 内置风格, 风格库"
            ),
            inputs=[
                io.DynamicCombo.Input(
                    "weights",
                    options=[_option(choice, styles) for choice, styles in banks.items()],
                    tooltip="Weights with several built-in styles: files from the folder "
                    "models/urst, and names that are downloaded once and verified when the graph "
                    "runs. Reload the page after you add a file.",
                ),
                *computing_inputs(),
            ],
            outputs=[
                BackboneSocket.Output(
                    "loaded",
                    display_name="backbone",
                    tooltip="The network, for all other nodes of this pack.",
                ),
                StyleSocket.Output(
                    "built_in",
                    display_name="saved_style",
                    tooltip="The style, for the saved_style input of the stylizing nodes, for Mix "
                    "Styles or for Save Style. Fits only these weights.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, weights: Mapping[str, str] | None = None) -> bool | str:
        """True if there are weights with several styles, otherwise an error message."""
        try:
            if weights is not None:
                _check_choice(weights["weights"])
        except WeightsError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, weights: Mapping[str, str] | None = None, **_: object) -> str:
        """Changes when the weights file does, so that it is read again."""
        return "" if weights is None else host.weights_state(weights["weights"])

    @classmethod
    def execute(
        cls, *, weights: Mapping[str, str] | None = None, precision: str, device: str
    ) -> io.NodeOutput:
        from ..urst_core.networks.saved_style import SavedStyle
        from ..urst_core.weights.loading import load_backbone

        # ComfyUI leaves out weights that are not in the list, and runs the node nevertheless.
        chosen = weights or {}
        choice, style = _check_choice(chosen.get("weights")), chosen.get("style", "")
        with naming_inputs():
            loaded = load_backbone(
                AUTO,
                host.weights_of(choice),
                folders=host.weights_folders(),
                listener=host.download_listener(),
            )
            code = loaded.encode_style([_own_name(style, choice, loaded)])
        saved = SavedStyle(code, loaded.traits.name, f"{style} of {choice}")
        return io.NodeOutput(LoadedBackbone.of(loaded, precision, device), saved)


def _option(choice: str, styles: tuple[str, ...]) -> io.DynamicCombo.Option:
    style = io.Combo.Input(
        "style",
        options=list(styles),
        tooltip="The name of the style; where the weights name none, its number from 0.",
    )
    return io.DynamicCombo.Option(choice, [style])


def _check_choice(choice: str | None) -> str:
    """The choice, if it is in the list.

    Raises:
        WeightsError: with the reason.
    """
    banks = host.style_banks()
    if not banks:
        raise WeightsError(
            "no weights in the folder models/urst have several built-in styles; put a file there "
            "that has, such as weights of cin, and reload the page"
        )
    if choice is None or choice not in banks:
        raise WeightsError(
            "these weights are not in the folder models/urst, or do not have several built-in "
            f"styles; choose one of: {', '.join(banks)}"
        )
    return choice


def _own_name(style: str, choice: str, backbone: Backbone) -> str:
    """What the network calls the style that the list calls ``style``.

    Raises:
        WeightsError: the weights have other styles than the list.
    """
    listed, own = host.style_banks()[choice], backbone.network.style_names
    if style not in listed or len(listed) != len(own):
        raise WeightsError(
            f"weights {choice} have no style {style!r}; reload the page, and choose another"
        )
    return own[listed.index(style)]
