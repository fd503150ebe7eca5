"""Workflows with several styles, frames or settings side by side."""

from __future__ import annotations

from recipe_parts import (
    CHOOSE,
    CLIP,
    MODELS,
    OTHER_PAINTING,
    OTHERS,
    PICTURES,
    RESULT,
    load_content,
    load_style,
    save,
    stylize,
)
from workflow_graph import Graph, Group, Node


def regions_with_masks(graph: Graph) -> None:
    note = graph.note(
        "## A style for each region\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style inside** and **style outside")
        + "\n2. The mask separates inside (white) from outside (black). To run at once, the graph "
        "makes it from the content's blue channel, above the value of **Threshold Mask**: mostly "
        "sky.\n"
        "3. For your own mask, right-click **content**, choose *Open in MaskEditor*, paint, and "
        "save; then connect its MASK in place of Threshold Mask's. A mask of another size is "
        "scaled.\n\n"
        "**Stylize Image** paints all styles in one pass. Its own style is everywhere; a **Style "
        "Region** puts another one on top, where its mask is white. Connect more of them in a row "
        "for more styles. Without a style of its own, Stylize Image leaves the rest of the "
        "photograph as it is.\n\n"
        "`mask_feather` sets the width in px over which a style fades in inside its region. 0 "
        "gives hard edges. Statistics are measured on the whole picture, so a region looks as it "
        "would if all of the picture were painted.",
        height=345,
    )
    content = load_content(graph)
    inside = load_style(graph, "style inside")
    outside = load_style(graph, "style outside", OTHER_PAINTING)
    channel = graph.add("ImageToMask", values={"channel": "blue"}, image=(content, 0))
    mask = graph.add("ThresholdMask", values={"value": 0.6}, mask=(channel, 0))
    region = graph.add("URSTStyleRegion", style=(inside, 0), mask=(mask, 0))
    backbone = graph.add("URSTLoadBackbone")
    painted = stylize(
        graph,
        backbone=(backbone, 0),
        content=(content, 0),
        style=(outside, 0),
        regions=(region, 0),
    )
    saved = save(graph, "regions_with_masks", (painted, 0))
    graph.lay_out(
        [note],
        [Group("Picture", [content], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Styles", [inside, outside], PICTURES)],
        [Group("1. Regions", [channel, mask], OTHERS), Group("Their styles", [region])],
        [Group("2. Stylize", [painted])],
        [Group("Result", [saved], RESULT)],
    )


def video_shared_statistics(graph: Graph) -> None:
    note = graph.note(
        "## Video without flicker\n\n"
        "If each frame is measured separately, a video flickers: a moving light changes the whole "
        "picture. With `batch_statistics` **shared** all frames are measured together, and parts "
        "that do not move keep their colors.\n\n"
        "1. The graph begins with two seconds that belong to this pack, so that it runs at once. "
        "Choose your own video in **content**.\n"
        "2. Choose a painting in **style**.\n"
        "3. Run. The video is in `output/urst`, with the sound and the frame rate of yours.\n\n"
        "- **smoothed** is for videos with several scenes: each frame's statistics are averaged "
        "with those of `smoothing_radius` frames on each side.\n"
        "- All frames are in memory at once. For long videos use *Stylize Video File*, which reads "
        "and writes them frame by frame.",
        height=300,
    )
    content = graph.add("LoadVideo", title="content", height=324, values={"file": CLIP})
    # Both have more inputs or outputs since 0.33.
    parts = graph.add("GetVideoComponents", height=120, video=(content, 0))
    style, backbone = load_style(graph), graph.add("URSTLoadBackbone")
    painted = stylize(
        graph,
        values={"batch_statistics": "shared"},
        backbone=(backbone, 0),
        content=(parts, 0),
        style=(style, 0),
    )
    video = graph.add(
        "CreateVideo", width=440, height=150, images=(painted, 0), audio=(parts, 1), fps=(parts, 2)
    )
    values = {"filename_prefix": "urst/video"}
    saved = graph.add("SaveVideo", width=440, height=440, values=values, video=(video, 0))
    graph.lay_out(
        [note],
        [Group("Video", [content, parts], PICTURES)],
        [Group("Picture", [style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Stylize", [painted])],
        [Group("Result", [video, saved], RESULT)],
    )


COMPARED = {
    "A": ("defaults", {}),
    "B": ("finer strokes", {"style_size": 256}),
    "C": ("half strength", {"strength": 0.5}),
    "D": ("small thumbnail", {"thumbnail_size": 128}),
}
"""Description and changed settings of each lane."""


def compare_backbones(graph: Graph) -> None:
    note = graph.note(
        "## Compare backbones and settings\n\n"
        "Four lanes, one picture, one painting. "
        + CHOOSE.format(content="content", style="style")
        + "\n\nAll lanes use the built-in weights, with different settings:\n\n"
        + "".join(
            f"- **{lane}**: {shown}"
            + "".join(f" (`{name}` {value})" for name, value in settings.items())
            + "\n"
            for lane, (shown, settings) in COMPARED.items()
        )
        + "\n**Other backbones**: choose their weights in a lane's **Load Backbone**: a name, "
        "which is downloaded once and verified, or a `.safetensors` file in `models/urst`. Put "
        "files that their authors published there as they are; **Convert Weights** makes a file "
        "for Load Backbone from them. Backbones with built-in styles do not use **style**; if they "
        "have several, enter a name in `style_names`.\n\n"
        "For pictures much larger than the thumbnail, also compare `statistics` **exact**.",
        height=355,
    )
    content, style = load_content(graph), load_style(graph)
    lanes = [_lane(graph, lane, content, style) for lane in COMPARED]
    graph.lay_out(
        [note], [Group("Pictures", [content, style], PICTURES)], *([lane] for lane in lanes)
    )


def _lane(graph: Graph, lane: str, content: Node, style: Node) -> Group:
    shown, settings = COMPARED[lane]
    backbone = graph.add("URSTLoadBackbone", width=340)
    painted = stylize(
        graph, values=settings, backbone=(backbone, 0), content=(content, 0), style=(style, 0)
    )
    saved = save(graph, f"compare_{lane}", (painted, 0), width=340, height=260)
    return Group(f"{lane}: {shown}", [backbone, painted, saved])
