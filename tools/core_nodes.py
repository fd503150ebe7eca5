"""ComfyUI's own nodes that the workflows use, as in 0.3.64 and 0.8.0.

A test with a real ComfyUI compares this table with the server's.
"""

from __future__ import annotations

from collections.abc import Mapping

from node_types import NodeType, Socket

IMAGE, MASK = Socket("IMAGE", "IMAGE"), Socket("MASK", "MASK")


def _image(name: str = "image") -> Socket:
    return Socket(name, "IMAGE")


def _offset(name: str) -> Socket:
    return Socket(name, "INT", default=0, limits=(0, 16384))


CORE_NODES: Mapping[str, NodeType] = {
    "MarkdownNote": NodeType((Socket("text", "STRING", default=""),)),
    "LoadImage": NodeType((Socket("image", "COMBO", page_value="image"),), (IMAGE, MASK)),
    "SaveImage": NodeType((_image("images"), Socket("filename_prefix", "STRING"))),
    "PreviewImage": NodeType((_image("images"),)),
    "PreviewAny": NodeType((Socket("source", "*"),)),
    "UpscaleModelLoader": NodeType(
        (Socket("model_name", "COMBO"),), (Socket("UPSCALE_MODEL", "UPSCALE_MODEL"),)
    ),
    "ImageUpscaleWithModel": NodeType(
        (Socket("upscale_model", "UPSCALE_MODEL"), _image()), (IMAGE,)
    ),
    "ImageToMask": NodeType(
        (_image(), Socket("channel", "COMBO", choices=("red", "green", "blue", "alpha"))), (MASK,)
    ),
    "ThresholdMask": NodeType(
        (Socket("mask", "MASK"), Socket("value", "FLOAT", default=0.5, limits=(0.0, 1.0))), (MASK,)
    ),
    "InvertMask": NodeType((Socket("mask", "MASK"),), (MASK,)),
    "ImageCompositeMasked": NodeType(
        (
            _image("destination"),
            _image("source"),
            _offset("x"),
            _offset("y"),
            Socket("resize_source", "BOOLEAN", default=False),
            Socket("mask", "MASK", optional=True),
        ),
        (IMAGE,),
    ),
    "RepeatImageBatch": NodeType(
        (_image(), Socket("amount", "INT", default=1, limits=(1, 4096))), (IMAGE,)
    ),
    "ImageAddNoise": NodeType(
        (
            _image(),
            Socket("seed", "INT", default=0, limits=(0, 2**64 - 1), page_value="fixed"),
            Socket("strength", "FLOAT", default=0.5, limits=(0.0, 1.0)),
        ),
        (IMAGE,),
    ),
    "SaveAnimatedWEBP": NodeType(
        (
            _image("images"),
            Socket("filename_prefix", "STRING"),
            Socket("fps", "FLOAT", default=6.0, limits=(0.01, 1000.0)),
            Socket("lossless", "BOOLEAN", default=True),
            Socket("quality", "INT", default=80, limits=(0, 100)),
            Socket("method", "COMBO", default="default", choices=("default", "fastest", "slowest")),
        )
    ),
}
