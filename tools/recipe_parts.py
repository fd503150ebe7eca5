"""What several workflows share: pictures, the stylizing node, colors, and sentences of notes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_graph import Graph, Link, Node

EXAMPLE = "example.png"
"""In ComfyUI's input folder from the start, and the only picture there."""

UPSCALE_MODEL = "RealESRGAN_x2plus.pth"

PICTURES, MODELS, RESULT, OTHERS = "#88a", "#8aa", "#8a8", "#b58b2a"
"""Colors of groups, from the page's own palette; what our nodes do has the page's blue."""

CHOOSE = (
    "Choose your photograph in **{content}** and a painting in **{style}**. Both show ComfyUI's "
    "`example.png`, so that the graph runs at once: the style is seen once you choose a painting."
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
