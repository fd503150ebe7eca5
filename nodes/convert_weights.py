"""Convert Weights: published files of a network, whatever their kind, to one that loads."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..urst_core.backbones import AUTO, REGISTRY
from ..urst_core.errors import WeightsError
from . import host
from .remedies import naming_inputs
from .sockets import CATEGORY, BackboneSocket, LoadedBackbone, found_by

if TYPE_CHECKING:
    from ..urst_core.networks.model import Backbone


class ConvertWeights(io.ComfyNode):
    """Published files → weights file, BACKBONE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="URSTConvertWeights",
            display_name="Convert Weights",
            category=CATEGORY,
            description="Makes a weights file for Load Backbone from the files that a network's "
            "authors published. Tensors are read; no code in the files is run.",
            **found_by(
                "style transfer model, import weights, checkpoint, pth, t7, safetensors, "
                "转换权重, 导入模型"
            ),
            inputs=[
                io.Combo.Input(
                    "files",
                    options=host.published_choices(),
                    tooltip="A file in the folder models/urst, or a folder in it with all files of "
                    "one network, just as they were published: .pth, .pth.tar, .model, .t7, "
                    ".safetensors. Press R to refresh.",
                ),
                io.Combo.Input(
                    "backbone",
                    options=[AUTO, *REGISTRY],
                    default=AUTO,
                    tooltip="The network. auto: recognized by the names and shapes of the tensors.",
                ),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the new file in models/urst, without extension; empty for "
                    "the name of the network and of the files.",
                ),
                io.Boolean.Input(
                    "trust",
                    default=False,
                    tooltip="On: you trust the source of these files. .pth and .model files are "
                    "pickles: only tensors are read from them, and files with anything else are "
                    "refused.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "weights", display_name="weights", tooltip="Name of the new file."
                ),
                BackboneSocket.Output(
                    "loaded",
                    display_name="backbone",
                    tooltip="The network with these weights, as from Load Backbone.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, trust: bool | None = None) -> bool | str:
        """True if the user trusts the files, otherwise an error message."""
        if trust is False:
            return (
                "files from elsewhere are only read if you trust their source; if you do, switch "
                "trust on"
            )
        return True

    @classmethod
    def fingerprint_inputs(cls, files: str, **_: object) -> str:
        """Changes when one of the files does."""
        from ..urst_core.weights.verified import file_state

        return "\n".join(map(file_state, host.published_files(files)))

    @classmethod
    def execute(cls, *, files: str, backbone: str, name: str, trust: bool) -> io.NodeOutput:
        with naming_inputs():
            if not trust:
                raise WeightsError("files are only read if you trust their source; switch trust on")
            path, converted = _convert(files, backbone, name)
        text = f"{path.name}: {converted.traits.title}"
        output = LoadedBackbone.of(converted, "auto", "auto")
        return io.NodeOutput(path.name, output, ui={"text": [text]})


def _convert(files: str, backbone: str, name: str) -> tuple[Path, Backbone]:
    from ..urst_core.weights.conversion.convert import (
        convert_unknown,
        convert_weights,
        save_conversion,
    )
    from ..urst_core.weights.loading import load_backbone

    paths = host.published_files(files)
    conversion = convert_unknown(paths) if backbone == AUTO else convert_weights(paths, backbone)
    chosen = PurePosixPath(name.strip() or f"{conversion.backbone}-{PurePosixPath(files).stem}")
    if chosen.name != str(chosen):
        raise WeightsError(f"name {name!r} has folders or is none; give a name without '/'")
    folder = host.weights_folders()[0]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{chosen.name.removesuffix('.safetensors')}.safetensors"
    save_conversion(conversion, path)
    return path, load_backbone(conversion.backbone, path)
