"""Parts that several workflows share: pictures, the stylizing node, colors, sentences of notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_graph import Graph, Link, Node

EXAMPLE = "example.png"
"""The only picture in ComfyUI's input folder after installation."""

UPSCALE_MODEL = "RealESRGAN_x2plus.pth"

PICTURES, MODELS, RESULT, OTHERS = "#88a", "#8aa", "#8a8", "#b58b2a"
"""Colors of groups, from the page's own palette; groups of our nodes have the page's blue."""

CHOOSE = (
    "Choose your photograph in **{content}** and a painting in **{style}**. Both are set to "
    "ComfyUI's `example.png`, so that the graph runs at once; choose a painting to see its style."
)


def load_image(graph: Graph, title: str) -> Node:
    return graph.add("LoadImage", title=title, height=314, values={"image": EXAMPLE})


def stylize(
    graph: Graph,
    title: str | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    **links: Link,
) -> Node:
    return graph.add("URSTStylizeImage", title=title, width=340, values=values, **links)


def save(graph: Graph, name: str, image: Link, *, width: int = 480, height: int = 480) -> Node:
    values = {"filename_prefix": f"urst/{name}"}
    return graph.add("SaveImage", width=width, height=height, values=values, images=image)


def load_upscale_model(graph: Graph) -> Node:
    return graph.add("UpscaleModelLoader", values={"model_name": UPSCALE_MODEL})
