"""Draw the pack's icon, banner and demo, and the pictures of its help pages, with its own engine.

    python tools/draw_pictures.py [NAME …]

Names are those of nodes, as URSTTileImage, or of files, as icon.png; without any all are drawn.
Everything is made from the demo's landscape and painting and the built-in weights; only the
pictures of Load Backbone, Convert Weights and Built-in Style are taken from docs/backbones.jpg
(benchmarks/contact_sheet.py).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_jpeg import small_jpeg

from urst_core.choices import STATS_OF_REGIONS
from urst_core.demo import DemoLandscape, demo_painting
from urst_core.geometry import Rectangle, Size, cut
from urst_core.method.one_level import OneLevel
from urst_core.method.patches import Layout, cut_windows, plan_layout
from urst_core.method.pipeline import stylize
from urst_core.method.regions import Region, Regions
from urst_core.method.style_saving import make_saved_style
from urst_core.pictures.mask import Mask, TensorMask
from urst_core.pictures.region_map import MaskRegions
from urst_core.pictures.resized import Resized
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import COLORS, Colors, Settings
from urst_core.weights.loading import load_backbone

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = ROOT / "web" / "docs"
BACKGROUND = (34, 34, 34)
"""About that of ComfyUI's pages, behind the pictures of help pages."""

SCENE: Size = (416, 624)
LARGE_SCENE: Size = (1248, 1872)
ICON_SCENE: Size = (832, 1248)
DEMO_SCENE: Size = (832, 1248)
"""As `urst demo` makes it."""
STROKES_SCENE: Size = (3600, 5400)
CONTROLS_SCENE: Size = (416, 624)
OFFERED_SCENE: Size = (1024, 1536)
"""Of the pictures that ComfyUI's users begin with."""
PRINT_SCALE = 2.83
"""By which 12 megapixels become 100 x 70 cm at 300 dpi."""
PRINT_DETAIL = Rectangle(1300, 1700, 1900, 2300)
"""Of the print: the boat and the shore behind it."""
GAP = 8
LARGEST_HELP_PICTURE = 58_000
ICON_SIDE = 256
BACKBONE_CELLS = ((0, 2), (1, 0), (1, 1), (1, 2), (1, 3), (2, 2))
"""Rows and columns in docs/backbones.jpg: MicroAST, AdaIN, Collaborative Distillation; WCT,
Johnson and conditional instance normalization."""

BANK_CELLS = ((0, 0), (2, 1), (2, 2), (2, 3))
"""The content, and three styles of conditional instance normalization."""

BANNER: Size = (720, 1680)


@cache
def scene(size: Size) -> TensorSource:
    return TensorSource(DemoLandscape(size).read(Rectangle.of_size(size)))


@cache
def painting(side: int) -> TensorSource:
    return TensorSource(demo_painting((side, side)))


def painted(content: TensorSource) -> TensorSource:
    """The content, stylized by the built-in network with its own strokes.

    Enlarged strokes would be too coarse in pictures as small as these.
    """
    canvas = TensorCanvas(content.size)
    settings = Settings(tile_size=256, thumbnail_size=512, strokes="fine", device="cpu")
    stylize(content, [painting(512)], canvas, load_backbone(), settings)
    return TensorSource(canvas.pixels)


@cache
def painted_scene(size: Size) -> TensorSource:
    return painted(scene(size))


def image_of(pixels: Tensor | TensorSource) -> Image.Image:
    if isinstance(pixels, TensorSource):
        pixels = pixels.pixels
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().to(torch.uint8).numpy())


def box_of(rectangle: Rectangle) -> tuple[int, int, int, int]:
    """A rectangle as Pillow takes it."""
    return rectangle.left, rectangle.top, rectangle.right, rectangle.bottom


def side_by_side(
    *images: Image.Image, height: int = 260, background: tuple[int, int, int] = BACKGROUND
) -> Image.Image:
    """Images brought to one height, in a row."""
    scaled = [
        image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS)
        for image in images
    ]
    width = sum(image.width for image in scaled) + GAP * (len(scaled) - 1)
    row, left = Image.new("RGB", (width, height), background), 0
    for image in scaled:
        row.paste(image, (left, 0))
        left += image.width + GAP
    return row


def staircase(photo: Image.Image, result: Image.Image, *, edge: int, first: int) -> Image.Image:
    """A photograph that turns into a painting, tile by tile.

    Args:
        photo: the content.
        result: the content as it was painted, of the same size.
        edge: of a tile, in px.
        first: the column of the top row's first painted tile; each row begins one tile earlier.
    """
    picture = photo.copy()
    lines = ImageDraw.Draw(picture)
    width = edge // 20
    for tile in cut(Rectangle(0, 0, photo.height, photo.width), edge):
        if tile.left // edge + tile.top // edge >= first:
            picture.paste(result.crop(box_of(tile)), box_of(tile))
            # Its left and its upper edge; none along the picture's own.
            if tile.left:
                lines.line((tile.left, tile.top, tile.left, tile.bottom), "white", width)
            if tile.top:
                lines.line((tile.left, tile.top, tile.right, tile.top), "white", width)
    return picture


def exploded(layout: Layout, windows: Sequence[Tensor], *, spread: int = 14) -> Image.Image:
    """Windows in their places, pulled apart; what they overlap by is shown dimmed."""
    rows = sorted({tile.core.top for tile in layout.tiles})
    columns = sorted({tile.core.left for tile in layout.tiles})
    height, width = windows[0].shape[-2:]
    size = len(columns) * (width + spread) - spread, len(rows) * (height + spread) - spread
    picture = Image.new("RGB", size, BACKGROUND)
    for tile, window in zip(layout.tiles, windows):
        image = image_of(window)
        top, left = tile.core.top - tile.window.top, tile.core.left - tile.window.left
        core = left, top, left + tile.core.width, top + tile.core.height
        dimmed = Image.blend(image, Image.new("RGB", image.size, BACKGROUND), 0.6)
        dimmed.paste(image.crop(core), core)
        ImageDraw.Draw(dimmed).rectangle((left, top, core[2] - 1, core[3] - 1), outline="white")
        left = columns.index(tile.core.left) * (width + spread)
        top = rows.index(tile.core.top) * (height + spread)
        picture.paste(dimmed, (left, top))
    return picture


def windows_of(source: TensorSource) -> Image.Image:
    layout = plan_layout(source.size, tile_size=208, halo=24, stride=8, name="the drawing")
    return exploded(layout, list(cut_windows(source, layout)))


def separately_painted(size: Size, edge: int) -> Image.Image:
    """What comes out where every tile is measured by itself."""
    content, joined = scene(size), Image.new("RGB", size[::-1])
    for tile in cut(Rectangle.of_size(size), edge):
        piece = painted(TensorSource(content.read(tile)))
        joined.paste(image_of(piece), (tile.left, tile.top))
    return joined


def with_detail(source: TensorSource, detail: Rectangle) -> Image.Image:
    """A whole picture with a frame on it, and what the frame holds at full size."""
    whole = image_of(source)
    framed = whole.copy()
    ImageDraw.Draw(framed).rectangle(box_of(detail), outline="white", width=10)
    return side_by_side(framed, whole.crop(box_of(detail)))


def in_regions(size: Size) -> Image.Image:
    """A picture with three regions drawn on it, and painted in their styles."""
    content, height = scene(size), size[0]
    rows = torch.arange(height)[:, None] / height + torch.zeros(size)
    sky, water = (rows < 0.42).float(), (rows >= 0.62).float()
    style = painting(512)
    styles = [TensorSource(style.pixels.roll(turn, 0)) for turn in (0, 1, 2)]
    masks = [torch.ones(size), sky, water]
    regions = Regions(
        MaskRegions([Mask(TensorMask(mask), feather=12) for mask in masks]),
        [Region([each]) for each in styles],
    )
    canvas = TensorCanvas(size)
    stylize(content, regions, canvas, load_backbone(), Settings(device="cpu"))
    tints = 255 * torch.stack([1 - sky - water, water, sky])
    drawn = (content.pixels * 0.6 + tints * 0.4).round().to(torch.uint8)
    return side_by_side(image_of(drawn), image_of(canvas.pixels))


def mixed_styles(size: Size) -> Image.Image:
    """Three paintings, and a picture in a mixture of them."""
    content, style = scene(size), painting(512)
    styles = [TensorSource(style.pixels.roll(turn, 0)) for turn in (0, 1, 2)]
    canvas = TensorCanvas(size)
    settings = Settings(device="cpu")
    stylize(content, styles, canvas, load_backbone(), settings, style_weights=[2, 1, 1])
    return side_by_side(*(image_of(each) for each in styles), image_of(canvas.pixels))


def half_finished(size: Size, edge: int, tiles: int) -> Image.Image:
    result = image_of(painted_scene(size))
    picture = Image.new("RGB", result.size, "black")
    for tile in list(cut(Rectangle.of_size(size), edge))[:tiles]:
        picture.paste(result.crop(box_of(tile)), box_of(tile))
    return side_by_side(image_of(scene(size)), picture)


def cells_of_backbones(places: Sequence[tuple[int, int]]) -> list[Image.Image]:
    """Cells of the contact sheet, by row and column, without the captions."""
    sheet, height = Image.open(DOCS / "backbones.jpg").convert("RGB"), 240
    return [
        sheet.crop((360 * column, 258 * row, 360 * (column + 1), 258 * row + height))
        for row, column in places
    ]


def some_backbones() -> Image.Image:
    """One cell a network of the contact sheet."""
    cells = cells_of_backbones(BACKBONE_CELLS)
    rows = [side_by_side(*cells[:3]), side_by_side(*cells[3:])]
    picture = Image.new("RGB", (rows[0].width, 2 * rows[0].height + GAP), BACKGROUND)
    for index, row in enumerate(rows):
        picture.paste(row, (0, index * (row.height + GAP)))
    return picture


LEVEL_DETAIL = Rectangle(330, 500, 590, 880)
"""Of the icon's scene, at full size."""


@cache
def level_by_hand() -> list[Image.Image]:
    """The larger of two levels: the enlarged painting below, with joined detail, merged."""
    content, network = scene(ICON_SCENE), load_backbone()
    settings = Settings(strokes=2.0, thumbnail_size=0, device="cpu")
    first = OneLevel.coarsest(content, settings)
    pictures = [
        TensorCanvas(size, dtype=torch.float32) for size in (first.level.size, *3 * [content.size])
    ]
    below, joined, painted_, merged = pictures
    plain = replace(settings, strokes="fine")
    first.join(below)
    stylize(TensorSource(below.pixels.clone()), [painting(512)], below, network, plain)
    level = first.above(below, settings)
    level.join(joined)
    stats = stylize(joined, [painting(512)], painted_, network, plain)
    level.merge(painted_, merged, stats)
    enlarged = Resized(below, Rectangle.of_size(below.size), content.size)
    return [
        image_of((each.read(LEVEL_DETAIL)[:3] * 255).round()) for each in (enlarged, joined, merged)
    ]


def frames_of_a_pan() -> Image.Image:
    """Three frames of a video, and the same frames painted."""
    sources = scene(SCENE), painted_scene(SCENE)
    height, width = SCENE
    boxes = [(left, 0, left + width // 2, height) for left in (0, width // 4, width // 2)]
    return side_by_side(*(image_of(source).crop(box) for source in sources for box in boxes))


def style_preview() -> Image.Image:
    """What a file of the painting's style shows."""
    saved = make_saved_style([painting(512)], load_backbone(), Settings(device="cpu"))
    assert saved.preview is not None
    return image_of(saved.preview)


DETAIL = Rectangle(560, 700, 960, 1100)
"""Of the large scene: the boat and its reflection."""

HELP_PICTURES: dict[str, Callable[[], Image.Image]] = {
    "URSTLoadBackbone": some_backbones,
    "URSTConvertWeights": some_backbones,
    "URSTBuiltInStyle": lambda: side_by_side(*cells_of_backbones(BANK_CELLS), height=180),
    "URSTMakeThumbnailStats": lambda: side_by_side(
        image_of(scene(SCENE)), image_of(painting(512)), image_of(painted_scene(SCENE)), height=180
    ),
    "URSTTileImage": lambda: windows_of(scene(SCENE)),
    "URSTStylizePatches": lambda: side_by_side(
        separately_painted(SCENE, 104), image_of(painted_scene(SCENE))
    ),
    "URSTAssembleTiles": lambda: side_by_side(
        windows_of(painted_scene(SCENE)), image_of(painted_scene(SCENE))
    ),
    "URSTJoinDetail": lambda: side_by_side(*level_by_hand()[:2]),
    "URSTMergeStrokes": lambda: side_by_side(level_by_hand()[0], level_by_hand()[2]),
    "URSTStylizeImage": lambda: side_by_side(
        image_of(scene(SCENE)), image_of(painting(512)), image_of(painted_scene(SCENE))
    ),
    "URSTStyleRegion": lambda: in_regions(SCENE),
    "URSTStyleRegions": lambda: in_regions(SCENE),
    "URSTMixStyles": lambda: mixed_styles(SCENE),
    "URSTLoadImage": lambda: with_detail(scene(LARGE_SCENE), DETAIL),
    "URSTSaveImage": lambda: with_detail(painted_scene(LARGE_SCENE), DETAIL),
    "URSTStylizeFile": lambda: half_finished(SCENE, 104, 15),
    "URSTStylizeVideoFile": frames_of_a_pan,
    "URSTLoadStyle": lambda: side_by_side(
        style_preview(), image_of(scene(SCENE)), image_of(painted_scene(SCENE))
    ),
    "URSTSaveStyle": lambda: side_by_side(image_of(painting(512)), style_preview()),
}


def icon() -> Image.Image:
    # The mountain, the sun and the boat.
    left, top, side = 160, 60, 720
    box = (left, top, left + side, top + side)
    photo, result = (image_of(source(ICON_SCENE)).crop(box) for source in (scene, painted_scene))
    drawn = staircase(photo, result, edge=side // 4, first=3)
    smaller = drawn.resize((ICON_SIDE, ICON_SIDE), Image.Resampling.LANCZOS)
    # 256 colors keep the file small; the painting's grain hides them.
    return smaller.quantize(256, method=Image.Quantize.MEDIANCUT)


def banner() -> Image.Image:
    content = scene(BANNER)
    return staircase(image_of(content), image_of(painted(content)), edge=120, first=8)


def demo() -> Image.Image:
    content, style = scene(DEMO_SCENE), painting(DEMO_SCENE[0])
    canvas = TensorCanvas(content.size)
    stylize(content, [style], canvas, load_backbone(), Settings(device="cpu"))
    pictures = (image_of(pixels) for pixels in (content, style, canvas.pixels))
    return side_by_side(*pictures, height=420, background=(255, 255, 255))


def strokes() -> Image.Image:
    """A large photograph, fine strokes, enlarged strokes: the whole above, full size below."""
    content = scene(STROKES_SCENE)
    pictures = [content]
    for size in ("fine", "preview"):
        canvas = TensorCanvas(content.size)
        settings = Settings(tile_size=512, strokes=size, device="cpu")
        stylize(content, [painting(1024)], canvas, load_backbone(), settings)
        pictures.append(TensorSource(canvas.pixels))
    images = [image_of(picture) for picture in pictures]
    box = 1900, 1720, 2500, 2320  # the boat and the trees behind it
    rows = [
        side_by_side(*images, height=400, background=(255, 255, 255)),
        side_by_side(*(i.crop(box) for i in images), height=600, background=(255, 255, 255)),
    ]
    sheet = Image.new("RGB", (rows[0].width, 1000 + GAP), "white")
    sheet.paste(rows[0], (0, 0))
    sheet.paste(rows[1], (0, 400 + GAP))
    return sheet


def controls() -> Image.Image:
    """Colors of the painting, of the photograph, matched; and colors of one painting in another's
    strokes, with the step between."""
    content, style = scene(CONTROLS_SCENE), painting(512)
    other = TensorSource(style.pixels.roll(1, 0))

    def stylized(picture: TensorSource, by: TensorSource, colors: Colors) -> TensorSource:
        canvas = TensorCanvas(picture.size)
        stylize(picture, [by], canvas, load_backbone(), Settings(device="cpu", colors=colors))
        return TensorSource(canvas.pixels)

    tinted = stylized(content, other, "style")
    rows = [
        [content, style, *(stylized(content, style, colors) for colors in COLORS)],
        [content, other, tinted, style, stylized(tinted, style, "content")],
    ]
    return in_rows([list(map(image_of, row)) for row in rows], height=190)


def statistics() -> Image.Image:
    """Statistics of the picture, local ones with two radii; and of the picture and of two regions:
    the shore and the lake, and the rest."""
    content, style = scene(CONTROLS_SCENE), painting(512)
    other = TensorSource(style.pixels.roll(1, 0))
    below = torch.zeros(content.size)
    below[round(0.59 * content.size[0]) :] = 1.0
    masks = MaskRegions([Mask(TensorMask(mask)) for mask in (below, 1.0 - below)])
    regions = Regions(masks, [Region([other]), Region([style])])

    def stylized(styles: list[TensorSource] | Regions, settings: Settings) -> Image.Image:
        canvas = TensorCanvas(content.size)
        stylize(content, styles, canvas, load_backbone(), settings)
        return image_of(canvas.pixels)

    plain = Settings(device="cpu")
    local = [replace(plain, stats="local", local_radius=radius) for radius in (0.25, 0.1)]
    rows = [
        [image_of(style), *(stylized([style], settings) for settings in (plain, *local))],
        [
            image_of(content),
            image_of(other),
            *(stylized(replace(regions, stats=stats), plain) for stats in STATS_OF_REGIONS),
        ],
    ]
    return in_rows(rows, height=190)


def gallery() -> Image.Image:
    """Four strengths; and four mixtures of two paintings, which come first and last."""
    content, style = scene(CONTROLS_SCENE), painting(512)
    other = TensorSource(style.pixels.roll(1, 0))
    shares = (0.25, 0.5, 0.75, 1.0)

    def stylized(strength: float, share_of_other: float) -> Image.Image:
        canvas, settings = TensorCanvas(content.size), Settings(device="cpu", strength=strength)
        weights = [1.0 - share_of_other, share_of_other]
        stylize(content, [style, other], canvas, load_backbone(), settings, style_weights=weights)
        return image_of(canvas.pixels)

    return in_rows(
        [
            [image_of(content), *(stylized(strength, 0.0) for strength in shares)],
            [image_of(style), *(stylized(1.0, share) for share in shares), image_of(other)],
        ],
        height=200,
    )


def printed() -> Image.Image:
    """A print, and a part of it at full size: of the enlarged painting, and of the print."""
    content, style = scene(OFFERED_SCENE), painting(OFFERED_SCENE[0])
    size = round(content.size[0] * PRINT_SCALE), round(content.size[1] * PRINT_SCALE)
    enlarged = Resized(content, Rectangle.of_size(content.size), size)
    settings = Settings(tile_size=512, device="cpu")
    small, large = TensorCanvas(content.size), TensorCanvas(size)
    stylize(content, [style], small, load_backbone(), settings)
    stylize(enlarged, [style], large, load_backbone(), settings)
    plain = image_of(small.pixels).resize(size[::-1], Image.Resampling.LANCZOS)
    painted_large = image_of(large.pixels)
    whole = painted_large.copy()
    ImageDraw.Draw(whole).rectangle(box_of(PRINT_DETAIL), outline="white", width=16)
    details = [each.crop(box_of(PRINT_DETAIL)) for each in (plain, painted_large)]
    return side_by_side(whole, *details, height=600, background=(255, 255, 255))


def in_rows(rows: Sequence[Sequence[Image.Image]], *, height: int) -> Image.Image:
    """Rows of images of one height, on white."""
    drawn = [side_by_side(*row, height=height, background=(255, 255, 255)) for row in rows]
    sheet = Image.new("RGB", (max(row.width for row in drawn), len(rows) * (height + GAP) - GAP))
    sheet.paste("white", (0, 0, *sheet.size))
    for number, row in enumerate(drawn):
        sheet.paste(row, (0, number * (height + GAP)))
    return sheet


def offered_photograph() -> Image.Image:
    return image_of(scene(OFFERED_SCENE))


def offered_painting() -> Image.Image:
    return image_of(painting(OFFERED_SCENE[0]))


def other_offered_painting() -> Image.Image:
    """The painting with its channels rotated: red becomes green, green blue, and blue red."""
    return image_of(painting(OFFERED_SCENE[0]).pixels.roll(1, 0))


def main() -> None:
    drawings = {DOCS / "icon.png": icon, DOCS / "banner.jpg": banner, DOCS / "demo.jpg": demo}
    drawings[DOCS / "strokes.jpg"] = strokes
    drawings[DOCS / "controls.jpg"] = controls
    drawings[DOCS / "statistics.jpg"] = statistics
    drawings[DOCS / "gallery.jpg"] = gallery
    drawings[DOCS / "print.jpg"] = printed
    drawings |= {
        ROOT / "sample_pictures" / "urst_photograph.jpg": offered_photograph,
        ROOT / "sample_pictures" / "urst_painting.jpg": offered_painting,
        ROOT / "sample_pictures" / "urst_painting_2.jpg": other_offered_painting,
    }
    drawings |= {PAGES / name / "example.jpg": draw for name, draw in HELP_PICTURES.items()}
    wanted = set(sys.argv[1:])
    for path, draw in drawings.items():
        if wanted and not wanted & set(path.parts):
            continue
        path.write_bytes(_encoded(draw(), path))
        print(path.relative_to(ROOT), path.stat().st_size, flush=True)


def _encoded(image: Image.Image, path: Path) -> bytes:
    """The picture's file; a help page's picture as good as its size allows."""
    if path.suffix == ".png":
        buffer = io.BytesIO()
        image.save(buffer, "PNG", optimize=True)
        return buffer.getvalue()
    if path.is_relative_to(PAGES) and image.width > 760:
        height = round(760 * image.height / image.width)
        image = image.resize((760, height), Image.Resampling.LANCZOS)
    return small_jpeg(image, LARGEST_HELP_PICTURE if path.is_relative_to(PAGES) else 400_000)


if __name__ == "__main__":
    main()
