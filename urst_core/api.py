"""The front door: pictures in, paintings of the same kind out.

::

    import urst_core as urst

    painted = urst.stylize(photo, painting)
    urst.stylize_file("giga.tif", "painting.jpg", "painted.tif")

    model = urst.load_backbone("microast")
    style = model.encode(painting)
    frames = [model(frame, style) for frame in video]
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, overload

from .backbones import DEFAULT_BACKBONE, REGISTRY
from .choices import BatchStatistics, StatsOfRegions
from .cli.bars import download_bar
from .errors import SettingsError
from .formats import open as files
from .formats.input_options import InputOptions
from .formats.zarr.store import parse_location
from .kinds import read_content, read_mask
from .method.regions import Region, Regions, mix_along
from .model import Model, ProgressOption, replaced
from .networks.frozen_stats import FrozenStats
from .pictures.mask import Mask
from .pictures.region_map import ColorMap, ColorRegions, MaskRegions
from .pictures.source import Source
from .runs.region_file import region_styles
from .tiling.device import find_device
from .tiling.settings import Settings, SettingsOptions
from .weights import loading

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

    from .kinds import Picture, PicturePath, PictureT
    from .model import Style, Styles


@overload
def stylize(
    content: PictureT,
    styles: Styles | FrozenStats | Regions | None = None,
    *,
    weights: Sequence[float] | None = None,
    mask: Mask | Picture | PicturePath | None = None,
    mask_feather: int = 0,
    batch_statistics: BatchStatistics = "per picture",
    backbone: str | Model = DEFAULT_BACKBONE,
    strict: bool = False,
    any_size: bool = False,
    progress: ProgressOption = None,
    **options: Unpack[SettingsOptions],
) -> PictureT: ...


@overload
def stylize(
    content: PicturePath,
    styles: Styles | FrozenStats | Regions | None = None,
    *,
    weights: Sequence[float] | None = None,
    mask: Mask | Picture | PicturePath | None = None,
    mask_feather: int = 0,
    batch_statistics: BatchStatistics = "per picture",
    backbone: str | Model = DEFAULT_BACKBONE,
    strict: bool = False,
    any_size: bool = False,
    progress: ProgressOption = None,
    **options: Unpack[SettingsOptions],
) -> Image: ...


def stylize(
    content: Any,
    styles: Any = None,
    *,
    weights: Sequence[float] | None = None,
    mask: Any = None,
    mask_feather: int = 0,
    batch_statistics: BatchStatistics = "per picture",
    backbone: str | Model = DEFAULT_BACKBONE,
    strict: bool = False,
    any_size: bool = False,
    progress: ProgressOption = None,
    **options: Unpack[SettingsOptions],
) -> Any:
    """Paint a picture in the style of another, or in a mixture of several (arXiv:2103.11784).

    The result is of the same kind as ``content``, of its size, dtype and device, with its alpha.
    Gray becomes RGB, since paintings have colors.

    Args:
        content: the picture, one of

            - a Pillow image of any mode: an RGB or RGBA image of 8 bits comes back, with the
              color profile, resolution and EXIF. An EXIF orientation is applied, so that the
              painting is upright wherever it is saved;
            - a NumPy array, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16 or floating
              0..1; or a batch of such, (N, H, W, C), each picture measured by itself;
            - a tensor, (1, H, W), (3, H, W) or (4, H, W), or a batch (N, C, H, W), of such values;
            - a path: a Pillow image comes back. For files that are large, or deeper than 8 bits,
              see :func:`stylize_file`.
        styles: a picture of any such kind; or a style file, or a :class:`SavedStyle`; or the name
            of a style inside the weights; or what :meth:`Model.encode` returned; or a list of
            those, which are mixed; or what :meth:`Model.measure` returned; or a style for each
            region, from :func:`color_regions`, :func:`mask_regions` or :func:`mix_along_map`. None
            where the weights hold one style only.
        weights: share of each style, on any scale; equal when not given.
        mask: where to stylize, of the content's size: white, 1.0 or True is stylized, black stays
            as it is, bit for bit, gray mixes; what is transparent stays, too. A picture of any
            kind, bool arrays too.
        mask_feather: how far inside the mask style fades in, in px.
        batch_statistics: for a batch: measure each picture by itself, or all of them together
            (``shared``), so that frames of a video do not flicker where nothing moves; or average
            each frame's statistics with those of its neighbors (``smoothed``).
        backbone: a name of :func:`list_backbones`, or of weights in the manifest; or a model from
            :func:`load_backbone`, which saves loading it in every call.
        strict: whether to refuse damaged files, of which otherwise a warning is logged.
        any_size: whether to accept files that unpack to more than a thousand times their size.
        progress: a function that is called with a :class:`Progress` after each tile; what it
            raises ends the work. True shows a bar.
        **options: fields of :class:`Settings`: ``strength`` (0..1), ``tile_size``,
            ``thumbnail_size`` and ``style_size`` (px), ``stats``, ``local_radius``,
            ``precision``, ``device``; ``strokes``, ``detail``, ``brushwork`` and ``seed`` for the
            size and texture of strokes; ``colors``: the style's, the content's, or the style's
            matched to them; ``match``.

    Raises:
        TypeError: the content is not a kind of picture, or an option is unknown.
        URSTError: one of its subclasses, for what cannot be used: pictures, settings, devices.

    Example:
        >>> from PIL import Image
        >>> import urst_core as urst
        >>> photo, painting = Image.open("photo.jpg"), Image.open("painting.jpg")
        >>> painted = urst.stylize(photo, painting)
        >>> painted.size == photo.size
        True
        >>> mixed = urst.stylize(photo, [painting, "other.jpg"], weights=[2, 1], strength=0.7)
    """
    model = model_of(backbone, progress)
    return model(
        content,
        styles,
        weights=weights,
        mask=mask,
        mask_feather=mask_feather,
        batch_statistics=batch_statistics,
        strict=strict,
        any_size=any_size,
        progress=progress,
        **options,
    )


def color_regions(
    picture: Picture | PicturePath,
    styles: Mapping[str, Styles],
    *,
    strengths: Mapping[str, float] | None = None,
    feather: int = 0,
    region_stats: StatsOfRegions = "picture",
) -> Regions:
    """A style for each color of a map, for :func:`stylize`.

    Args:
        picture: the map, of the content's size, of any kind of picture. Black, if it has no style,
            and transparent pixels keep the content.
        styles: by color: a CSS name, ``#rrggbb``, or a gray of 0 to 255. Each is whatever
            :func:`stylize` takes as styles; several are mixed.
        strengths: by color, 0 to 1, times the strength of the settings; 1 where not given.
        feather: width over which neighboring regions cross-fade, in px.
        region_stats: ``picture``: each region looks as if its style were everywhere; ``region``:
            statistics are those of each region, which gets its style's whole range of tones.

    Raises:
        SettingsError: a color is unknown or not in the map, or a value is out of range.
        ImageError: the map cannot be read, or has a color without a style.

    Example:
        >>> import numpy as np
        >>> import urst_core as urst
        >>> areas = np.zeros((48, 64, 3), np.uint8)
        >>> areas[:, :32] = (255, 0, 0)
        >>> regions = urst.color_regions(areas, {"red": "painting.jpg"}, feather=4)
        >>> painted = urst.stylize("photo.jpg", regions)
    """
    [source] = read_content(picture).sources
    each = region_styles(list(styles), strengths or {})
    numbers = ColorMap(source, tuple(region.color for region in each))
    numbers.check_used()
    several = [listed(style) for style in styles.values()]
    mixed = [
        Region(
            [style for number in region.styles for style in several[number]], None, region.strength
        )
        for region in each
    ]
    return Regions(ColorRegions(numbers, feather), mixed, region_stats)


def mask_regions(
    masks: Sequence[Mask | Picture | PicturePath],
    styles: Sequence[Styles],
    *,
    strengths: Sequence[float] | None = None,
    feather: int = 0,
    region_stats: StatsOfRegions = "picture",
) -> Regions:
    """A style for each mask, for :func:`stylize`.

    Args:
        masks: of the content's size, as the ``mask`` of :func:`stylize`. Where they overlap, the
            last is on top; where there are none, the content stays.
        styles: one for each mask, whatever :func:`stylize` takes as styles.
        strengths: one for each mask, 0 to 1, times the strength of the settings; 1 if None.
        feather: how far inside the masks their styles fade in, in px.
        region_stats: as for :func:`color_regions`.

    Raises:
        SettingsError: the numbers of masks, styles and strengths differ.
        ShapeError: the masks have several sizes.

    Example:
        >>> import numpy as np
        >>> import urst_core as urst
        >>> left = np.arange(64) < np.full((48, 1), 32)
        >>> regions = urst.mask_regions([left, ~left], ["painting.jpg", "other.jpg"])
        >>> painted = urst.stylize("photo.jpg", regions)
    """
    strengths = [1.0] * len(styles) if strengths is None else strengths
    if not len(masks) == len(styles) == len(strengths):
        raise SettingsError(
            f"{len(masks)} masks, {len(styles)} styles and {len(strengths)} strengths; "
            "give as many of each"
        )
    given = [read_mask(mask, feather) for mask in masks]
    each = [Region(listed(style), None, strength) for style, strength in zip(styles, strengths)]
    return Regions(MaskRegions([mask for mask in given if mask is not None]), each, region_stats)


def mix_along_map(picture: Picture | PicturePath, styles: Sequence[Style]) -> Regions:
    """Blend from style to style across the picture, for :func:`stylize`.

    Args:
        picture: of the content's size: where it is black, the result has the first style, where it
            is white the last, and mixtures in between.
        styles: two or more, each whatever :func:`stylize` takes as one.

    Raises:
        SettingsError: there are fewer than two styles, or too many.

    Example:
        >>> import numpy as np
        >>> import urst_core as urst
        >>> to_the_right = np.linspace(0, 1, 64) * np.ones((48, 1))
        >>> regions = urst.mix_along_map(to_the_right, ["painting.jpg", "other.jpg"])
        >>> painted = urst.stylize("photo.jpg", regions)
    """
    mask = read_mask(picture, 0)
    assert mask is not None  # a picture was given
    return mix_along(mask.values, cast("Any", styles))


def listed(styles: Any) -> list[Any]:
    """Styles as a list, also if a single one is given."""
    return [*styles] if isinstance(styles, (list, tuple)) else [styles]


def load_backbone(
    name: str = DEFAULT_BACKBONE,
    weights: PicturePath | None = None,
    *,
    progress: bool = False,
    **options: Unpack[SettingsOptions],
) -> Model:
    """Load a stylization network, ready to be called.

    Args:
        name: one of :func:`list_backbones`, or weights of the manifest, as in ``adain-default``,
            which are downloaded once.
        weights: a safetensors file under the published parameter names, or a name in the manifest;
            those inside the package when not given.
        progress: True shows a bar while weights are downloaded.
        **options: fields of :class:`Settings` that all calls share, as for :func:`stylize`.

    Raises:
        TypeError: an option is unknown.
        SettingsError: no backbone has that name.
        WeightsError: the file is missing, damaged, or belongs to another backbone; or there are no
            weights inside the package; or they cannot be downloaded.

    Example:
        >>> import numpy as np
        >>> import urst_core as urst
        >>> model = urst.load_backbone("microast", device="cpu")
        >>> style = model.encode("painting.jpg")
        >>> video = np.zeros((2, 40, 60, 3), np.uint8)
        >>> frames = [model(frame, style) for frame in video]
    """
    settings = replaced(Settings(), options)
    path = None if weights is None else os.fspath(weights)
    backbone = loading.load_backbone(name, path, listener=download_bar(quiet=not progress))
    return Model(backbone.on(find_device(settings.device)), settings)


def open_picture(
    location: PicturePath, *, flatten: bool = False, strict: bool = False, any_size: bool = False
) -> Source:
    """Open a picture of any size, to be read in parts.

    Args:
        location: an image file, a NumPy file, a Zarr store, or a Zarr store's URL.
        flatten: lay alpha on white, and bring colors to sRGB: for styles.
        strict, any_size: as for :func:`stylize_file`.

    Raises:
        ImageError: it is missing, damaged, or of a kind that cannot be used.

    Example:
        >>> import urst_core as urst
        >>> urst.open_picture("photo.jpg").size
        (48, 64)
    """
    options = InputOptions(strict=strict, any_size=any_size)
    place = parse_location(os.fspath(location))
    return files.open_picture(place, flatten=flatten, options=options)


def list_backbones() -> list[str]:
    """The names of all stylization networks.

    ``microast`` brings its weights; for the others see :func:`load_backbone`.

    Example:
        >>> import urst_core as urst
        >>> urst.list_backbones()[:2]
        ['microast', 'adain']
    """
    return list(REGISTRY)


def model_of(backbone: str | Model, progress: ProgressOption) -> Model:
    """A model, loaded if only its name is given."""
    if isinstance(backbone, Model):
        return backbone
    return Model(loading.load_backbone(backbone, listener=download_bar(quiet=progress is not True)))
