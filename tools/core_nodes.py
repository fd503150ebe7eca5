"""ComfyUI's own nodes that the workflows use, as in 0.3.64 and 0.8.0.

A test with a real ComfyUI compares this table with the server's.
"""

from __future__ import annotations

from collections.abc import Mapping

from node_types import NodeType, Socket

IMAGE, MASK = Socket("IMAGE", "IMAGE"), Socket("MASK", "MASK")
VIDEO = Socket("VIDEO", "VIDEO")


def _image(name: str = "image") -> Socket:
    return Socket(name, "IMAGE")


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
    "LoadVideo": NodeType((Socket("file", "COMBO"),), (VIDEO,)),
    "GetVideoComponents": NodeType(
        (Socket("video", "VIDEO"),),
        (Socket("images", "IMAGE"), Socket("audio", "AUDIO"), Socket("fps", "FLOAT")),
    ),
    "CreateVideo": NodeType(
        (
            _image("images"),
            Socket("fps", "FLOAT", default=30.0, limits=(1.0, 120.0)),
            Socket("audio", "AUDIO", optional=True),
        ),
        (VIDEO,),
    ),
    "SaveVideo": NodeType(
        (
            Socket("video", "VIDEO"),
            Socket("filename_prefix", "STRING"),
            Socket("format", "COMBO", default="auto", choices=("auto", "mp4")),
            Socket("codec", "COMBO", default="auto", choices=("auto", "h264")),
        )
    ),
}
