"""Workflows that show the way of one picture: in one node, in five, as a file, with an upscaler."""

from __future__ import annotations

from recipe_parts import (
    CHOOSE,
    EXAMPLE,
    MODELS,
    OTHERS,
    PICTURES,
    RESULT,
    UPSCALE_MODEL,
    load_image,
    load_upscale_model,
    save,
    stylize,
)
from workflow_graph import Graph, Group


def quick_start(graph: Graph) -> None:
    note = graph.note(
        "## Quick start\n\n"
        + "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. Run. The result is in `output/urst`.\n\n"
        "**Stylize Image** measures the picture once, on a small copy, then works tile by tile: "
        "memory follows the tile, not the picture, and there are no seams.\n\n"
        "- `strength`: 0 is the photograph, 1 the full style.\n"
        "- `style_size`: smaller makes strokes finer.\n"
        "- `tile_size`: 0 chooses by free memory. The picture is the same with any.\n"
        "- `statistics` **exact** measures the whole picture instead of the small copy; slower.\n"
        "- **style_2** mixes in a second painting.",
        height=260,
    )
    content, style = load_image(graph, "content"), load_image(graph, "style")
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
        "## Five nodes\n\n"
        "What *Stylize Image* does, step by step, so that other nodes may work in between.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. **Make Thumbnail Stats** measures once, on a small copy. Its **preview** shows the "
        "look of the whole picture before any tile is done.\n"
        "3. **Tile Image** cuts equal windows that overlap by the backbone's halo.\n"
        "4. **Stylize Patches with TIN** stylizes each window with the same statistics.\n"
        "5. **Assemble Tiles** crops the halo off and joins: every pixel is what one pass over the "
        "whole picture would give.\n\n"
        "Nothing in between? `quick_start` needs less memory.",
        height=290,
    )
    content, style = load_image(graph, "content"), load_image(graph, "style")
    backbone = graph.add("URSTLoadBackbone")
    stats = graph.add(
        "URSTMakeThumbnailStats", backbone=(backbone, 0), content=(content, 0), style=(style, 0)
    )
    preview = graph.add("PreviewImage", title="the look, at once", height=280, images=(stats, 1))
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


def hundred_megapixels(graph: Graph) -> None:
    note = graph.note(
        "## A hundred megapixels, file to file\n\n"
        "For pictures that fit in no memory and that no page can show: **Stylize File** reads a "
        "file, works tile by tile, and writes a file.\n\n"
        "1. Copy your picture into ComfyUI's `input` folder, press `R`, and choose it in **Stylize "
        "File**. It shows `example.png`, so that the graph runs at once.\n"
        "2. Choose a painting in **style**.\n"
        "3. Run. The result is `output/urst/stylized.tif`; a small copy of it fills while the node "
        "works.\n\n"
        "- Cancelled, crashed, power lost? Queue it again: with `resume` on, what was finished is "
        "kept.\n"
        "- A finished file is replaced only with `overwrite` on; or change `output_name`.\n"
        "- TIFF holds every picture: 16 bits, alpha, any size. JPEG is smaller.\n"
        "- Depth, alpha, color profile and metadata are kept.",
        height=280,
    )
    style = load_image(graph, "style")
    backbone = graph.add("URSTLoadBackbone")
    values = {"content": EXAMPLE}
    painted = graph.add(
        "URSTStylizeFile",
        width=380,
        height=700,
        values=values,
        backbone=(backbone, 0),
        style=(style, 0),
    )
    path = graph.add(
        "PreviewAny", title="where the file is", width=440, height=120, source=(painted, 0)
    )
    preview = graph.add(
        "PreviewImage", title="a small copy", width=440, height=420, images=(painted, 1)
    )
    graph.lay_out(
        [note],
        [Group("Picture", [style], PICTURES), Group("Models", [backbone], MODELS)],
        [Group("Stylize", [painted])],
        [Group("Result", [path, preview], RESULT)],
    )


def upscale_then_stylize(graph: Graph) -> None:
    note = graph.note(
        "## Upscale, then stylize\n\n"
        "A small photograph becomes a large painting with fine strokes: they are painted on the "
        "enlarged picture.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. **Load Upscale Model** needs a file in `models/upscale_models`: any that *Upscale "
        f"Image (using Model)* takes, `{UPSCALE_MODEL}` say. Put it there, press `R`, choose it.\n"
        "3. Run. Statistics are measured on the *upscaled* picture, which is the one that gets "
        "stylized.\n\n"
        "Large strokes instead? See `stylize_then_upscale`.",
        height=250,
    )
    content, style = load_image(graph, "content"), load_image(graph, "style")
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
        "the network has less to compute.\n\n"
        "1. "
        + CHOOSE.format(content="content", style="style")
        + "\n2. **Load Upscale Model** needs a file in `models/upscale_models`: any that *Upscale "
        f"Image (using Model)* takes, `{UPSCALE_MODEL}` say. Put it there, press `R`, choose it.\n"
        "3. Run.\n\n"
        "The upscaler may also stand between **Stylize Patches** and **Assemble Tiles** of "
        "`five_nodes`, which reads the scale off the windows. Give Assemble Tiles a `feather` "
        "then, 16 say: an upscaler treats each window differently at its edges.\n\n"
        "Fine strokes instead? See `upscale_then_stylize`.",
        height=290,
    )
    content, style = load_image(graph, "content"), load_image(graph, "style")
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
