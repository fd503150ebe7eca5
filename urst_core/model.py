"""A stylization network with its weights and settings, ready to be called with pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload

from .choices import BatchStatistics
from .cli.bars import ProgressBar
from .errors import Change, SettingsError, ShapeError
from .formats.input_options import InputOptions
from .kinds import read_content, read_mask, read_style
from .method import pipeline
from .method.encoding import check_matchable, thumbnail_of
from .method.regions import Regions
from .method.run import Run
from .method.video import Frames, stylize_frames
from .networks.frozen_stats import FrozenStats
from .networks.model import Backbone
from .networks.saved_style import SavedStyle, is_style_file
from .networks.style import StyleCode, blend
from .pictures.colors import ColorStatistics
from .pictures.mask import Mask
from .pictures.source import Canvas, Source, TensorCanvas
from .progress import Listener, Progress, ignore
from .tiling.device import explained_out_of_memory, find_device
from .tiling.settings import Settings, SettingsOptions

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

    from .kinds import Picture, PicturePath, PictureT

    Style: TypeAlias = Picture | PicturePath | Source | SavedStyle | StyleCode
    """A picture of any kind, a style file, the name of a built-in style, or a code."""
    Styles: TypeAlias = Style | Sequence[Style]

ProgressOption: TypeAlias = Callable[[Progress], None] | bool | None
"""A function that is called after each step (if it raises, the work ends), or True for a bar."""


@dataclass(frozen=True)
class Model:
    """A stylization network with its weights and settings, from :func:`load_backbone`.

    It is called with pictures, which never changes it.

    Attributes:
        backbone: network and weights.
        settings: what all calls share, where they do not say otherwise.
    """

    backbone: Backbone = field(repr=False)
    settings: Settings = field(default_factory=Settings)

    @property
    def name(self) -> str:
        """The backbone's name, as in :func:`list_backbones`."""
        return self.backbone.traits.name

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the styles inside the weights; empty where any picture can be the style."""
        return tuple(self.backbone.network.style_names)

    @overload
    def __call__(
        self,
        content: PictureT,
        styles: Styles | FrozenStats | Regions | None = None,
        *,
        weights: Sequence[float] | None = None,
        mask: Mask | Picture | PicturePath | None = None,
        mask_feather: int = 0,
        batch_statistics: BatchStatistics = "per picture",
        strict: bool = False,
        any_size: bool = False,
        progress: ProgressOption = None,
        **options: Unpack[SettingsOptions],
    ) -> PictureT: ...

    @overload
    def __call__(
        self,
        content: PicturePath,
        styles: Styles | FrozenStats | Regions | None = None,
        *,
        weights: Sequence[float] | None = None,
        mask: Mask | Picture | PicturePath | None = None,
        mask_feather: int = 0,
        batch_statistics: BatchStatistics = "per picture",
        strict: bool = False,
        any_size: bool = False,
        progress: ProgressOption = None,
        **options: Unpack[SettingsOptions],
    ) -> Image: ...

    def __call__(
        self,
        content: Any,
        styles: Any = None,
        *,
        weights: Sequence[float] | None = None,
        mask: Any = None,
        mask_feather: int = 0,
        batch_statistics: BatchStatistics = "per picture",
        strict: bool = False,
        any_size: bool = False,
        progress: ProgressOption = None,
        **options: Unpack[SettingsOptions],
    ) -> Any:
        """Stylize a picture, or a batch. Arguments, result and errors as for :func:`stylize`.

        Example:
            >>> import torch
            >>> import urst_core as urst
            >>> model = urst.load_backbone()
            >>> model(torch.rand(3, 64, 96), "painting.jpg").shape
            torch.Size([3, 64, 96])
        """
        input_options = InputOptions(strict=strict, any_size=any_size)
        given = read_content(content, input_options)
        area = read_mask(mask, mask_feather, input_options)
        styles = self._opened(styles, input_options)
        settings = self._settings_for(styles, options)
        canvases = [
            TensorCanvas(source.size, channels=source.channels, dtype=source.dtype)
            for source in given.sources
        ]
        with listening(progress) as listener:
            if batch_statistics == "per picture" or isinstance(styles, FrozenStats):
                shared = None
                for source, canvas in zip(given.sources, canvases):
                    if shared is None or settings.colors == "matched":
                        shared = self._code_or_stats(styles, weights, options, listener, [source])
                    self._stylize(source, shared, canvas, settings, area, listener)
            else:
                shared = self._code_or_stats(styles, weights, options, listener, given.sources)
                assert not isinstance(shared, FrozenStats)  # they were used above
                stylize_frames(
                    Frames(given.sources, shared, listener_of=lambda _: listener),
                    canvases,
                    self.backbone,
                    _settings_after_encoding(settings),
                    masks=[area] * len(canvases),
                    batch_statistics=batch_statistics,
                )
        return given.hand_back([canvas.pixels for canvas in canvases])

    def encode(
        self,
        styles: Styles | None = None,
        *,
        weights: Sequence[float] | None = None,
        progress: ProgressOption = None,
        **options: Unpack[SettingsOptions],
    ) -> StyleCode:
        """Encode a style, or a mixture of several, once for many pictures.

        Args:
            styles, weights: as for :func:`stylize`.
            progress: a large style file takes a while to shrink; as for :func:`stylize`.
            **options: ``style_size`` is the one that counts here.

        Example:
            >>> import urst_core as urst
            >>> model = urst.load_backbone()
            >>> half = model.encode(["painting.jpg", "other.jpg"], weights=[1, 1])
            >>> painted = model("photo.jpg", half)
        """
        with listening(progress) as listener:
            return self._encode(styles, weights, self.settings_with(options), listener)

    def measure(
        self,
        content: Picture | PicturePath,
        styles: Styles | None = None,
        *,
        weights: Sequence[float] | None = None,
        progress: ProgressOption = None,
        **options: Unpack[SettingsOptions],
    ) -> FrozenStats:
        """Measure the statistics that all tiles of a picture share, to use them for other pictures.

        They are statistics of a single pass, so pictures are painted with ``strokes="fine"``.

        Args:
            content: a single picture; everything else as for :func:`stylize`.

        Example:
            >>> import urst_core as urst
            >>> model = urst.load_backbone()
            >>> stats = model.measure("photo.jpg", "painting.jpg")
            >>> painted = model("photo.jpg", stats)
        """
        sources = read_content(content).sources
        if len(sources) != 1:
            raise ShapeError(f"a batch of {len(sources)} cannot be measured", "pass one picture")
        settings = self._plain_settings(options)
        with listening(progress) as listener:
            code = self._encode(styles, weights, settings, listener, sources)
            run = _single_level(Run.of(sources[0], self.backbone, settings, listener=listener))
            return run.measure(code)

    def write(
        self,
        content: Source,
        styles: Styles | FrozenStats | Regions | None,
        canvas: Canvas,
        *,
        weights: Sequence[float] | None = None,
        mask: Mask | None = None,
        progress: ProgressOption = None,
        **options: Unpack[SettingsOptions],
    ) -> None:
        """Stylize from a source to a canvas, for pictures that are read and written in parts.

        Args:
            content: for instance what :func:`open_picture` returned.
            canvas: of the content's size, channels and dtype; each pixel is written once.
            mask: where to stylize.
            styles, weights, progress, options: as for :func:`stylize`.

        Example:
            >>> import torch
            >>> import urst_core as urst
            >>> source = urst.TensorSource(torch.rand(3, 64, 96))
            >>> canvas = urst.TensorCanvas(source.size, dtype=source.dtype)
            >>> urst.load_backbone().write(source, "painting.jpg", canvas)
            >>> canvas.pixels.shape
            torch.Size([3, 64, 96])
        """
        settings = self._settings_for(styles, options)
        with listening(progress) as listener:
            shared = self._code_or_stats(styles, weights, options, listener, [content])
            self._stylize(content, shared, canvas, settings, mask, listener)

    def settings_with(self, options: SettingsOptions) -> Settings:
        """The model's settings with some fields replaced.

        Raises:
            TypeError: an option is unknown.
        """
        return replaced(self.settings, options)

    def _settings_for(self, styles: object, options: SettingsOptions) -> Settings:
        if isinstance(styles, FrozenStats):
            return self._plain_settings(options)
        return self.settings_with(options)

    def _plain_settings(self, options: SettingsOptions) -> Settings:
        """The settings for measured statistics: fine strokes, if no others are asked for."""
        settings = self.settings_with(options)
        is_default = "strokes" not in options and settings.strokes == Settings().strokes
        return replace(settings, strokes="fine") if is_default else settings

    def _opened(self, styles: Any, options: InputOptions) -> Any:
        """The styles, those in files opened."""
        if isinstance(styles, (list, tuple)):
            return [self._opened(style, options) for style in cast("Sequence[Any]", styles)]
        if isinstance(styles, SavedStyle):
            return styles.code_for(self.backbone)
        if not isinstance(styles, (str, os.PathLike)):
            return styles
        name = os.fspath(cast("str", styles))
        if is_style_file(name):
            return SavedStyle.load(Path(name)).code_for(self.backbone)
        return styles if isinstance(styles, str) and self.styles else read_style(name, options)

    def _code_or_stats(
        self,
        styles: Styles | FrozenStats | Regions | None,
        weights: Sequence[float] | None,
        options: SettingsOptions,
        listener: Listener,
        contents: Sequence[Source],
    ) -> StyleCode | FrozenStats | Regions:
        settings = self.settings_with(options)
        if isinstance(styles, Regions):
            if weights is not None:
                raise SettingsError("weights of styles are part of their regions")
            each = [
                replace(
                    region,
                    styles=[
                        self._encode(region.styles, region.weights, settings, listener, contents)
                    ],
                    weights=None,
                )
                for region in styles.each
            ]
            return replace(styles, each=each)
        if not isinstance(styles, FrozenStats):
            return self._encode(styles, weights, settings, listener, contents)
        strength = options.get("strength", styles.strength)
        if weights is not None or strength != styles.strength:
            raise SettingsError(
                "weights and strength are part of measured statistics",
                "pass them to measure() instead",
            )
        return styles

    def _encode(
        self,
        styles: Styles | None,
        weights: Sequence[float] | None,
        settings: Settings,
        listener: Listener,
        contents: Sequence[Source] = (),
    ) -> StyleCode:
        """The code of styles, matched to the colors of contents if the settings say so."""
        settings.check(self.backbone.traits)
        backbone = self.backbone.on(find_device(settings.device))
        several = list(styles) if isinstance(styles, (list, tuple)) else [styles]
        with explained_out_of_memory(backbone.device, "the styles", "a smaller style size"):
            colors = self._colors_of(contents, settings, listener)
            codes = [
                self._code_of(style, backbone, settings, listener, colors) for style in several
            ]
        return blend(codes, [1.0] * len(codes) if weights is None else weights)

    def _colors_of(
        self, contents: Sequence[Source], settings: Settings, listener: Listener
    ) -> ColorStatistics | None:
        """The colors that styles are matched to; None if they keep their own."""
        if settings.colors != "matched":
            return None
        if not contents:
            raise SettingsError(
                "colors 'matched' depend on the content; pass the styles with it, not encoded"
            )
        size = settings.thumbnail_size
        return ColorStatistics.of(thumbnail_of(c, size, listener) for c in contents)

    def _code_of(
        self,
        style: Any,
        backbone: Backbone,
        settings: Settings,
        listener: Listener,
        colors: ColorStatistics | None,
    ) -> StyleCode:
        style = self._opened(style, InputOptions())
        check_matchable(style, self.backbone, settings)
        if isinstance(style, StyleCode):
            return style
        if style is None:
            return backbone.encode_style()
        if isinstance(style, str) and self.styles:
            return backbone.encode_style([style])
        picture = thumbnail_of(read_style(style), settings.style_size, listener)
        picture = picture if colors is None else colors.match(picture)
        return backbone.encode_style([picture], match=settings.match)

    def _stylize(
        self,
        source: Source,
        shared: StyleCode | FrozenStats | Regions,
        canvas: Canvas,
        settings: Settings,
        mask: Mask | None,
        listener: Listener,
    ) -> None:
        if isinstance(shared, FrozenStats):
            run = _single_level(
                Run.of(source, self.backbone, settings, mask=mask, listener=listener)
            )
            run.stylize(run.network(shared), canvas)
        else:
            pipeline.stylize(
                source,
                shared,
                canvas,
                self.backbone,
                _settings_after_encoding(settings),
                mask=mask,
                listener=listener,
            )


def _settings_after_encoding(settings: Settings) -> Settings:
    """The settings for styles that were matched to the content's colors when they were encoded."""
    return replace(settings, colors="style") if settings.colors == "matched" else settings


def _single_level(run: Run) -> Run:
    """The run, if its picture is painted in one pass, as statistics can be shared only there.

    Raises:
        SettingsError: strokes of that size take several passes, or brushwork.
    """
    if not run.is_plain:
        raise SettingsError(
            f"statistics for strokes {run.settings.strokes!r} cannot be shared by several pictures",
            Change("strokes", "fine"),
        )
    return run


def replaced(settings: Settings, options: SettingsOptions) -> Settings:
    """Settings with fields replaced, whichever there are.

    Raises:
        TypeError: there is no such field.
    """
    known = [setting.name for setting in fields(Settings)]
    for name in options:
        if name not in known:
            similar = get_close_matches(name, known, n=1)
            hint = f"did you mean {similar[0]!r}?" if similar else f"use {', '.join(known)}"
            raise TypeError(f"{name!r} is not an option; {hint}")
    chosen: dict[str, Any] = dict(options)
    if "device" in chosen:
        chosen["device"] = str(chosen["device"])  # a torch.device will do
    return replace(settings, **chosen)


@contextmanager
def listening(progress: ProgressOption) -> Generator[Listener, None, None]:
    """A function to tell of progress, drawing a bar if asked to."""
    if callable(progress):
        yield progress
    elif progress:
        with ProgressBar() as bar:
            yield bar.update
    else:
        yield ignore
