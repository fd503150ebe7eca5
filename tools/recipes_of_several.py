"""Workflows with several styles, frames or settings side by side."""

from __future__ import annotations

from recipe_parts import CHOOSE, MODELS, OTHERS, PICTURES, RESULT, load_image, save, stylize
from workflow_graph import Graph, Group, Node

FRAMES, GRAIN = 4, 0.1
"""A still with other grain in each of so many frames stands for a video."""


def regions_with_masks(graph: Graph) -> None:
    note = graph.note(
        "## A style for each region\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style inside** and **style outside")
        + "\n2. The mask says what is inside: white is, black is not. Here it is where the "
        "content's blue is above **Threshold Mask**'s value, mostly sky, so that the graph runs "
        "at once.\n"
        "3. Your own mask: right-click **content**, *Open in MaskEditor*, paint, save; then "
        "connect its MASK instead of Threshold Mask's. A mask is of the content's size.\n\n"
        "Each **Stylize Image** paints its region and leaves the rest as it was; tiles without "
        "mask take no time. The statistics stay those of the whole picture, so that a region looks "
        "as it would in a wholly painted one.\n\n"
        "`mask_feather` fades a style in over so many px inside its region: with the photograph "
        "between them, two styles meet softly. 0 gives hard edges. A photograph with one painted "
        "region is the first Stylize Image alone.",
        height=300,
    )
    content = load_image(graph, "content")
    inside_style, outside_style = (
        load_image(graph, f"style {side}") for side in ("inside", "outside")
    )
    channel = graph.add("ImageToMask", values={"channel": "blue"}, image=(content, 0))
    mask = graph.add("ThresholdMask", values={"value": 0.6}, mask=(channel, 0))
    inverted = graph.add("InvertMask", mask=(mask, 0))
    backbone = graph.add("URSTLoadBackbone")
    inside, outside = (
        stylize(
            graph,
            f"Stylize {side}",
            backbone=(backbone, 0),
            content=(content, 0),
            style=(style, 0),
            mask=(region, 0),
        )
        for side, style, region in (
            ("inside", inside_style, mask),
            ("outside", outside_style, inverted),
        )
    )
    joined = graph.add(
        "ImageCompositeMasked",
        title="inside over outside",
        destination=(outside, 0),
        source=(inside, 0),
        mask=(mask, 0),
    )
    saved = save(graph, "regions_with_masks", (joined, 0))
    graph.lay_out(
        [note],
        [Group("Picture", [content], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Styles", [inside_style, outside_style], PICTURES)],
        [Group("1. Regions", [channel, mask, inverted], OTHERS)],
        [Group("2. Stylize each region", [inside, outside])],
        [Group("3. Join", [joined], OTHERS)],
        [Group("Result", [saved], RESULT)],
    )


def video_shared_statistics(graph: Graph) -> None:
    note = graph.note(
        "## Video without flicker\n\n"
        "Measured each on its own, frames of a video flicker: a light that moves changes the "
        "whole picture. With `batch_statistics` **shared** all frames are measured together, and "
        "what does not move keeps its colors.\n\n"
        "1. A still with changing grain stands for a video, so that the graph runs at once. For "
        "your own, add *Load Video* and *Get Video Components*, and connect their images to "
        "**Stylize Image** instead.\n"
        "2. Choose a painting in **style**.\n"
        "3. Run. For a video file, replace **SaveAnimatedWEBP** by *Create Video* and *Save "
        "Video*; connect audio and fps, too.\n\n"
        "- **smoothed** follows a video that changes from scene to scene: each frame is averaged "
        "with `smoothing_radius` frames on each side.\n"
        "- All frames are in memory at once: cut long videos into parts.",
        height=260,
    )
    content, style = load_image(graph, "content"), load_image(graph, "style")
    repeated = graph.add("RepeatImageBatch", values={"amount": FRAMES}, image=(content, 0))
    frames = graph.add("ImageAddNoise", values={"strength": GRAIN}, image=(repeated, 0))
    backbone = graph.add("URSTLoadBackbone")
    painted = stylize(
        graph,
        values={"batch_statistics": "shared"},
        backbone=(backbone, 0),
        content=(frames, 0),
        style=(style, 0),
    )
    values = {"filename_prefix": "urst/video", "fps": 2.0}
    saved = graph.add("SaveAnimatedWEBP", width=440, height=580, values=values, images=(painted, 0))
    graph.lay_out(
        [note],
        [Group("Pictures", [content, style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Frames, or a video", [repeated, frames], OTHERS)],
        [Group("Stylize", [painted])],
        [Group("Result", [saved], RESULT)],
    )


COMPARED = {
    "A": ("as it comes", {}),
    "B": ("finer strokes", {"style_size": 256}),
    "C": ("half strength", {"strength": 0.5}),
    "D": ("a small thumbnail", {"thumbnail_size": 128}),
}
"""By lane, what it shows and the settings that differ."""


def compare_backbones(graph: Graph) -> None:
    note = graph.note(
        "## Compare backbones and settings\n\n"
        "Four lanes, one picture, one painting. "
        + CHOOSE.format(content="content", style="style")
        + "\n\nAll lanes begin with the backbone that comes with the pack, at several settings:\n\n"
        + "".join(
            f"- **{lane}**: {shown}"
            + "".join(f" (`{name}` {value})" for name, value in settings.items())
            + "\n"
            for lane, (shown, settings) in COMPARED.items()
        )
        + "\n**Other backbones**: choose one in a lane's **Load Backbone**, and its weights beside "
        "it: a name, which is downloaded once and verified, or a `.safetensors` file in "
        "`models/urst`. Weights have to belong to the network. `urst weights list` tells which "
        "there are, and which command makes those without a public home. Some backbones have "
        "their styles inside: they leave **style** unused, or take its name in `style_names`.\n\n"
        "`statistics` **exact** is worth a lane for pictures far larger than the thumbnail.",
        height=330,
    )
    content, style = load_image(graph, "content"), load_image(graph, "style")
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
    saved = save(graph, f"compare_{lane}", (painted, 0), width=340, height=340)
    return Group(f"{lane}: {shown}", [backbone, painted, saved])
