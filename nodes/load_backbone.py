"""Load Backbone: a stylization network and its weights."""

from __future__ import annotations

from comfy_api.latest import io

from ..urst_core.backbones import AUTO, REGISTRY
from . import host
from .remedies import naming_inputs
from .sockets import CATEGORY, BackboneSocket, LoadedBackbone, computing_inputs, found_by


class LoadBackbone(io.ComfyNode):
    """Weights file → BACKBONE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTLoadBackbone",
            display_name="Load Backbone",
            category=CATEGORY,
            description="Loads a stylization network. The default needs no download.",
            **found_by(
                "style transfer model, neural style, AdaIN, MicroAST, WCT, weights, "
                "风格迁移, 风格迁移模型"
            ),
            inputs=[
                io.Combo.Input(
                    "backbone",
                    options=[AUTO, *REGISTRY],
                    default=AUTO,
                    tooltip="The stylization network. auto: the one that the weights belong to. "
                    "microast is small and fast, and its weights come with the pack; the others "
                    "need a weights file.",
                ),
                io.Combo.Input(
                    "weights",
                    options=host.weights_choices(),
                    default=host.BUILT_IN,
                    tooltip="built-in; a name, which is downloaded once and verified when the "
                    "graph runs; or a .safetensors file from the folder models/urst. Convert "
                    "published files of other kinds with Convert Weights.",
                ),
                *computing_inputs(),
            ],
            outputs=[
                BackboneSocket.Output(
                    "loaded",
                    display_name="backbone",
                    tooltip="The network, for all other nodes of this pack.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, weights: str | None = None, **_: object) -> str:
        """Changes when the weights file does, so that it is read again."""
        return host.weights_state(weights or host.BUILT_IN)

    @classmethod
    def execute(cls, *, backbone: str, weights: str, precision: str, device: str) -> io.NodeOutput:
        from ..urst_core.weights.loading import load_backbone

        with naming_inputs():
            loaded = load_backbone(
                backbone,
                host.weights_of(weights),
                folders=host.weights_folders(),
                listener=host.download_listener(),
            )
        return io.NodeOutput(LoadedBackbone.of(loaded, precision, device))
