"""Workflows for one picture, or one video: in one node, step by step, as a file, upscaled."""

from __future__ import annotations

from recipe_parts import (
    CHOOSE,
    CLIP,
    MODELS,
    OTHERS,
    PHOTOGRAPH,
    PICTURES,
    RESULT,
    UPSCALE_MODEL,
    load_content,
    load_style,
    load_upscale_model,
    save,
    stylize,
)
from workflow_graph import Graph, Group, Link, Node


def quick_start(graph: Graph) -> None:
    note = graph.note(
        "## Quick start\n\n"
        + "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. Run. The result is in `output/urst`.\n\n"
        "**Stylize Image** measures the picture once, on a small copy, and then works tile by "
        "tile: it needs little memory besides the picture, and there are no seams.\n\n"
        "- `strength`: 0 is the photograph, 1 the full style.\n"
        "- `strokes`: 0 keeps their share of the picture at any size; 1 gives the finest.\n"
        "- `tile_size`: 0 chooses by free memory. It does not change the picture.\n"
        "- `statistics` **exact** measures the whole picture, not just the small copy; slower.\n"
        "- **style_2** mixes in a second painting.",
        height=330,
    )
    content, style = load_content(graph), load_style(graph)
    backbone = graph.add("URSTLoadBackbone")
    painted = stylize(graph, backbone=(backbone, 0), content=(content, 0), style=(style, 0))
    saved = save(graph, "quick_start", (painted, 0))
    graph.lay_out(
        [note],
        [Group("Pictures", [content, style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Stylize", [painted])],
        [Group("Result", [saved], RESULT)],
    )


def five_nodes(graph: Graph) -> None:
    note = graph.note(
        "## Step by step\n\n"
        "The steps of *Stylize Image* as separate nodes, with room for other nodes in between.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. **Make Thumbnail Stats** measures the picture once, on a small copy. Its "
        "**preview** shows the look of the whole picture before any tile is computed.\n"
        "3. **Tile Image** cuts equal windows that overlap by the backbone's halo.\n"
        "4. **Stylize Patches with TIN** stylizes each window with the same statistics.\n"
        "5. **Assemble Tiles** crops the halos and joins the windows. Every pixel is the same as "
        "in one pass over the whole picture.\n\n"
        "If you do not need other nodes in between, the template **quick start** uses less memory.",
        height=330,
    )
    content, style = load_content(graph), load_style(graph)
    backbone = graph.add("URSTLoadBackbone")
    stats = graph.add(
        "URSTMakeThumbnailStats", backbone=(backbone, 0), content=(content, 0), style=(style, 0)
    )
    preview = graph.add("PreviewImage", title="preview", height=280, images=(stats, 1))
    tile = graph.add("URSTTileImage", image=(content, 0), backbone=(backbone, 0))
    patches = graph.add(
        "URSTStylizePatches", backbone=(backbone, 0), stats=(stats, 0), tiles=(tile, 0)
    )
    assemble = graph.add("URSTAssembleTiles", tiles=(patches, 0), layout=(tile, 1))
    saved = save(graph, "five_nodes", (assemble, 0))
    graph.lay_out(
        [note],
        [Group("Pictures", [content, style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("1. Measure once", [stats]), Group("2. Cut", [tile])],
        [Group("3. Stylize", [patches]), Group("Look first", [preview], RESULT)],
        [Group("4. Join", [assemble])],
        [Group("Result", [saved], RESULT)],
    )


STROKES_BY_HAND = 4.0
"""Two more levels for pictures of any size."""


def strokes_by_hand(graph: Graph) -> None:
    note = graph.note(
        "## Large strokes by hand\n\n"
        "The steps of *Stylize Image* with `strokes` = 4, level by level, with room for other "
        "nodes in between. The result is the same.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. The first **Join Detail** makes a small copy. The preview of its **Make Thumbnail "
        "Stats** is the first painting, with the look of the whole picture.\n"
        "3. The next **Join Detail** enlarges the painting and adds the photograph's detail. The "
        "result is painted in tiles, and **Merge Strokes** merges its finest strokes.\n"
        "4. After another such level, with the same statistics, the painting is as large as the "
        "photograph.\n\n"
        "- To enlarge with an upscale model, connect the painting to *Upscale Image (using Model)* "
        "and its result to `enlarged` of the next Join Detail, besides `painting`. Any size "
        "works.\n"
        "- For larger strokes, set `strokes` to 8 in the first Join Detail, and add a level.\n"
        "- `detail`: how much of the photograph each level sees. `brushwork` fills skies.\n\n"
        "If you do not need other nodes in between, the template **quick start** uses less memory.",
        height=480,
        width=330,
    )
    content, style = load_content(graph), load_style(graph)
    backbone = graph.add("URSTLoadBackbone")
    models: dict[str, Link] = {"backbone": (backbone, 0), "style": (style, 0)}
    join = graph.add("URSTJoinDetail", values={"strokes": STROKES_BY_HAND}, image=(content, 0))
    stats = _level_stats(graph, join, models)
    preview = graph.add("PreviewImage", title="the first painting", height=260, images=(stats, 1))
    first = Group("1. Small copy", [join, stats])
    join_2 = graph.add("URSTJoinDetail", painting=(stats, 1), below=(join, 1))
    stats_2 = _level_stats(graph, join_2, models)
    tiles_2 = _painted_level(graph, join_2, stats_2, backbone)
    painting = (tiles_2[-1], 0)
    join_3 = graph.add("URSTJoinDetail", painting=painting, below=(join_2, 1))
    tiles_3 = _painted_level(graph, join_3, stats_2, backbone)
    saved = save(graph, "strokes_by_hand", (tiles_3[-1], 0), width=320)
    graph.lay_out(
        [note],
        [Group("Pictures", [content, style], PICTURES), Group("Models", [backbone], MODELS)],
        [first, Group("The look", [preview], RESULT)],
        [Group("2. Double size", [join_2, stats_2])],
        [Group("2. Paint", tiles_2)],
        [Group("3. Whole size", [join_3])],
        [Group("3. Paint", tiles_3)],
        [Group("Result", [saved], RESULT)],
    )


def _level_stats(graph: Graph, join: Node, models: dict[str, Link]) -> Node:
    return graph.add("URSTMakeThumbnailStats", content=(join, 0), level=(join, 1), **models)


def _painted_level(graph: Graph, join: Node, stats: Node, backbone: Node) -> list[Node]:
    """The nodes that paint a level in tiles and merge it; the last one merges."""
    tile = graph.add("URSTTileImage", image=(join, 0), backbone=(backbone, 0))
    patches = graph.add(
        "URSTStylizePatches", backbone=(backbone, 0), stats=(stats, 0), tiles=(tile, 0)
    )
    assemble = graph.add("URSTAssembleTiles", tiles=(patches, 0), layout=(tile, 1))
    merge = graph.add("URSTMergeStrokes", strokes=(assemble, 0), level=(join, 1), stats=(stats, 0))
    return [tile, patches, assemble, merge]


def hundred_megapixels(graph: Graph) -> None:
    note = graph.note(
        "## A hundred megapixels, file to file\n\n"
        "For pictures that are too large for memory, or for a browser to show: **Stylize File** "
        "reads a file, works tile by tile, and writes a file.\n\n"
        "1. Copy your picture into ComfyUI's `input` folder, press `R`, and choose it in **Stylize "
        "File**. It is set to a photograph of this pack, so that the graph runs at once.\n"
        "2. Choose a painting in **style**.\n"
        "3. Run. The result is in `output/urst`; a preview fills up while the node "
        "works.\n\n"
        "- After a cancel, a crash or a power cut, queue it again: finished tiles are kept.\n"
        "- Files are numbered. With **overwrite** on, one file is replaced each time.\n"
        "- TIFF fits every picture: 16 bits, alpha, any size. JPEG files are smaller.\n"
        "- Depth, alpha, color profile and metadata are kept.",
        height=365,
    )
    style = load_style(graph)
    backbone = graph.add("URSTLoadBackbone")
    values = {"content": PHOTOGRAPH}
    painted = graph.add(
        "URSTStylizeFile",
        width=380,
        height=700,
        values=values,
        backbone=(backbone, 0),
        style=(style, 0),
    )
    path = graph.add(
        "PreviewAny", title="path of the file", width=440, height=140, source=(painted, 0)
    )
    preview = graph.add("PreviewImage", title="preview", width=440, height=420, images=(painted, 1))
    graph.lay_out(
        [note],
        [Group("Picture", [style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Stylize", [painted])],
        [Group("Result", [path, preview], RESULT)],
    )


def video_file(graph: Graph) -> None:
    note = graph.note(
        "## Long videos, file to file\n\n"
        "**Stylize Video File** reads a video, paints it frame by frame, and writes a video: an "
        "hour takes no more memory than a second.\n\n"
        "1. Upload your video in **Stylize Video File**, or copy it into ComfyUI's `input` folder "
        "and press `R`. It is set to two seconds that belong to this pack, so that the graph runs "
        "at once.\n"
        "2. Choose a painting in **style**.\n"
        "3. Run. The result is in `output/urst`.\n\n"
        "- Nothing flickers: all frames share statistics, which are measured on 16 frames of the "
        "clip.\n"
        "- Sound, frame rate and times are kept.\n"
        "- After a cancel, a crash or a power cut, queue it again: finished seconds are kept.\n"
        "- Cut a clip whose scenes differ much into its scenes first.\n"
        "- Its output **video** is for other nodes, such as *Get Video Components*.",
        height=355,
    )
    style = load_style(graph)
    backbone = graph.add("URSTLoadBackbone")
    painted = graph.add(
        "URSTStylizeVideoFile",
        width=440,
        height=900,
        values={"content": CLIP, "output_name": "urst/video_file"},
        backbone=(backbone, 0),
        style=(style, 0),
    )
    path = graph.add(
        "PreviewAny", title="path of the file", width=380, height=140, source=(painted, 0)
    )
    graph.lay_out(
        [note],
        [Group("Picture", [style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Stylize", [painted])],
        [Group("Result", [path], RESULT)],
    )


def upscale_then_stylize(graph: Graph) -> None:
    note = graph.note(
        "## Upscale, then stylize\n\n"
        "A small photograph becomes a large painting with sharp strokes, which are painted on the "
        "enlarged picture.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. **Load Upscale Model** needs a file in `models/upscale_models`: the page offers to "
        f"download `{UPSCALE_MODEL}`, or choose another one.\n"
        "3. Run. Statistics are measured on the *upscaled* picture, since that is the one that is "
        "stylized.\n\n"
        "`strokes` = 1 gives the finest strokes. For strokes that grow with the picture, see the "
        "template **stylize, then upscale**.",
        height=275,
    )
    content, style = load_content(graph), load_style(graph)
    model = load_upscale_model(graph)
    upscaled = graph.add("ImageUpscaleWithModel", upscale_model=(model, 0), image=(content, 0))
    backbone = graph.add("URSTLoadBackbone")
    painted = stylize(graph, backbone=(backbone, 0), content=(upscaled, 0), style=(style, 0))
    saved = save(graph, "upscale_then_stylize", (painted, 0))
    graph.lay_out(
        [note],
        [
            Group("Pictures", [content, style], PICTURES),
            Group("Models", [model, backbone], MODELS),
        ],
        [Group("1. Upscale", [upscaled], OTHERS)],
        [Group("2. Stylize", [painted])],
        [Group("Result", [saved], RESULT)],
    )


def stylize_then_upscale(graph: Graph) -> None:
    note = graph.note(
        "## Stylize, then upscale\n\n"
        "The small picture is painted, then the painting is enlarged: strokes grow with it, and "
        "the network has less work.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. **Load Upscale Model** needs a file in `models/upscale_models`: the page offers to "
        f"download `{UPSCALE_MODEL}`, or choose another one.\n"
        "3. Run.\n\n"
        "The upscaler can also be placed between **Stylize Patches** and **Assemble Tiles** of "
        "the template **step by step**; the scale is detected. Set Assemble Tiles' `feather` to "
        "16, for example, since an upscaler changes the edges of each window differently.\n\n"
        "For strokes painted at the final size, see **upscale, then stylize**.",
        height=310,
    )
    content, style = load_content(graph), load_style(graph)
    backbone = graph.add("URSTLoadBackbone")
    painted = stylize(graph, backbone=(backbone, 0), content=(content, 0), style=(style, 0))
    model = load_upscale_model(graph)
    upscaled = graph.add("ImageUpscaleWithModel", upscale_model=(model, 0), image=(painted, 0))
    saved = save(graph, "stylize_then_upscale", (upscaled, 0))
    graph.lay_out(
        [note],
        [
            Group("Pictures", [content, style], PICTURES),
            Group("Models", [model, backbone], MODELS),
        ],
        [Group("1. Stylize", [painted])],
        [Group("2. Upscale", [upscaled], OTHERS)],
        [Group("Result", [saved], RESULT)],
    )
