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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from .backbones import DEFAULT_BACKBONE, REGISTRY
from .cli.bars import download_bar
from .errors import SettingsError
from .formats import open as files
from .formats.input_options import InputOptions
from .formats.output_options import OutputOptions
from .formats.zarr.store import parse_location
from .method.video import BatchStatistics
from .model import Model, ProgressOption, listening, replaced
from .networks.frozen_stats import FrozenStats
from .pictures.mask import Mask
from .pictures.source import Source
from .runs.file_run import FileRun
from .runs.mask_file import MaskFile
from .tiling.device import find_device
from .tiling.settings import IfInterrupted, Settings, SettingsOptions
from .weights import loading

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

    from .kinds import Picture, PicturePath, PictureT
    from .model import Styles

WhenInterrupted = Literal["resume", "restart", "refuse"]

_IF_INTERRUPTED: dict[str, IfInterrupted] = {
    "resume": IfInterrupted.RESUME,
    "restart": IfInterrupted.DISCARD,
    "refuse": IfInterrupted.REFUSE,
}


@overload
def stylize(
    content: PictureT,
    styles: Styles | FrozenStats | None = None,
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
    styles: Styles | FrozenStats | None = None,
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
            those, which are mixed; or what :meth:`Model.measure` returned. None where the weights
            hold one style only.
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
            ``thumbnail_size`` and ``style_size`` (px), ``stats``, ``precision``, ``device``;
            ``strokes``, ``detail``, ``brushwork`` and ``seed`` for the size and texture of strokes;
            ``colors``: the style's, the content's, or the style's matched to them.

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
    model = _model_of(backbone, progress)
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


def stylize_file(
    content: PicturePath,
    styles: PicturePath | Sequence[PicturePath],
    output: PicturePath,
    *,
    weights: Sequence[float] | None = None,
    mask: PicturePath | None = None,
    mask_feather: int = 0,
    backbone: str | Model = DEFAULT_BACKBONE,
    overwrite: bool = False,
    if_interrupted: WhenInterrupted = "resume",
    stored: OutputOptions | None = None,
    strict: bool = False,
    any_size: bool = False,
    progress: ProgressOption = None,
    **options: Unpack[SettingsOptions],
) -> Path:
    """Paint a picture file of any size into another file, with bounded memory.

    A run that is interrupted, whether by an error, Ctrl-C or a power cut, keeps what is finished
    beside the output; the same call resumes it, and ends with the same file. Needs libvips
    (``pip install "urst[app]"``).

    Args:
        content: the picture.
        styles: picture files, style files, or names of styles inside the weights; one, or a list
            to be mixed.
        output: the file to make. Its ending chooses the format: ``.jpg .png .tif .webp .avif .dzi
            .npy .zarr``.
        weights: share of each style, on any scale; equal when not given.
        mask: a picture file of the content's size; white is stylized, black stays.
        mask_feather: how far inside the mask style fades in, in px.
        backbone: as for :func:`stylize`.
        overwrite: whether to replace a file of the output's name.
        if_interrupted: what to do about an earlier, interrupted run for this output: ``resume``
            it, throw it away and ``restart``, or ``refuse``.
        stored: quality, compression and more of the output's format.
        strict: whether to refuse damaged pictures, of which otherwise a warning is logged.
        any_size: whether to accept pictures that unpack to more than a thousand times their files.
        progress: as for :func:`stylize`.
        **options: fields of :class:`Settings`, as for :func:`stylize`.

    Returns:
        The path of the output.

    Raises:
        TypeError: an option is unknown.
        URSTError: one of its subclasses, for what cannot be used, or not be written.

    Example:
        >>> import urst_core as urst
        >>> urst.stylize_file("photo.jpg", "painting.jpg", "painted.tif", strength=0.8).name
        'painted.tif'
    """
    if if_interrupted not in _IF_INTERRUPTED:
        raise SettingsError(
            f"if_interrupted {if_interrupted!r} is unknown", f"use {', '.join(_IF_INTERRUPTED)}"
        )
    model = _model_of(backbone, progress)
    several = [styles] if isinstance(styles, (str, os.PathLike)) else styles
    input_options = InputOptions(strict=strict, any_size=any_size)
    run = FileRun(
        Path(content),
        [os.fspath(style) for style in several],
        Path(output),
        model.backbone,
        model.settings_with(options),
        style_weights=weights,
        options=stored or OutputOptions(),
        overwrite=overwrite,
        input_options=input_options,
        mask=None if mask is None else MaskFile(Path(mask), mask_feather, input_options),
    )
    with listening(progress) as listener:
        run.run(listener, if_interrupted=_IF_INTERRUPTED[if_interrupted])
    return run.output


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


def _model_of(backbone: str | Model, progress: ProgressOption) -> Model:
    if isinstance(backbone, Model):
        return backbone
    return Model(loading.load_backbone(backbone, listener=download_bar(quiet=progress is not True)))
