"""Parts that several workflows share: pictures, the stylizing node, colors, sentences of notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_graph import Graph, Link, Node

PHOTOGRAPH, PAINTING, OTHER_PAINTING = (
    f"urst_{name}.jpg" for name in ("photograph", "painting", "painting_2")
)
"""The pack's own pictures, which it puts into ComfyUI's input folder."""

CLIP = "urst_clip.mp4"
"""The pack's own video, two seconds long, in the same folder."""

UPSCALE_MODEL = "RealESRGAN_x4plus.pth"
UPSCALE_MODEL_ADDRESS = (
    f"https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/{UPSCALE_MODEL}"
)
"""Of its authors' release; the page offers to download a missing file from there."""

PICTURES, MODELS, RESULT, OTHERS = "#88a", "#8aa", "#8a8", "#b58b2a"
"""Colors of groups, from the page's own palette; groups of our nodes have the page's blue."""

CHOOSE = (
    "The graph begins with pictures of this pack, so that it runs at once. Choose your own "
    "photograph in **{content}**, and a painting in **{style}**."
)


def load_content(graph: Graph) -> Node:
    return load_image(graph, "content", PHOTOGRAPH)


def load_style(graph: Graph, title: str = "style", picture: str = PAINTING) -> Node:
    return load_image(graph, title, picture)


def load_image(graph: Graph, title: str, picture: str) -> Node:
    return graph.add("LoadImage", title=title, height=324, values={"image": picture})


def stylize(
    graph: Graph,
    title: str | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    **links: Link,
) -> Node:
    return graph.add("URSTStylizeImage", title=title, width=320, values=values, **links)


def save(graph: Graph, name: str, image: Link, *, width: int = 440, height: int = 440) -> Node:
    values = {"filename_prefix": f"urst/{name}"}
    return graph.add("SaveImage", width=width, height=height, values=values, images=image)


def load_upscale_model(graph: Graph) -> Node:
    node = graph.add("UpscaleModelLoader", values={"model_name": UPSCALE_MODEL})
    file = {"name": UPSCALE_MODEL, "url": UPSCALE_MODEL_ADDRESS, "directory": "upscale_models"}
    node["properties"]["models"] = [file]
    return node
