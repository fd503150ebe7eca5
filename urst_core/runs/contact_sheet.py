"""A contact sheet: small pictures of every content in every style, to choose a style by.

Each is painted in the size of the coarsest level, as the preview of the result, and then shrunk::

    │        │ monet  │ klee   │
    │ lake   │ ······ │ ······ │
    │ hut    │ ······ │ ······ │
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import ImageError, URSTError
from ..formats.find_pictures import FoundPicture
from ..formats.input_options import InputOptions
from ..formats.open import open_picture
from ..formats.styles import open_style
from ..method.encoding import encode_styles
from ..method.pipeline import stylize
from ..method.strokes import level_sizes
from ..networks.model import Backbone
from ..networks.saved_style import SavedStyle, is_style_file
from ..networks.style import AnyStyle, StyleCode, pictures_among
from ..pictures.sheet import Cell, draw_table
from ..pictures.source import Source, TensorCanvas, TensorSource, close_picture, from_unit
from ..pictures.thumbnail import make_thumbnail
from ..progress import Listener, ignore
from ..tiling.device import find_device
from ..tiling.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class Column:
    """A style of a sheet: what pictures are painted in, and the cell above them."""

    style: AnyStyle
    header: Cell


@dataclass(frozen=True)
class ContactSheet:
    """How to paint and draw a sheet.

    Attributes:
        backbone: network and weights.
        settings: how to stylize; strokes are those of the preview, also if they are ``fine``.
        edge: longest side of a small picture, in px.
        input_options: how strictly to check pictures.
        report: called with the error of each picture that is left out.
        listener: called with the progress of each painting; if it raises, drawing ends.
    """

    backbone: Backbone
    settings: Settings
    edge: int = 256
    input_options: InputOptions = field(default_factory=InputOptions)
    report: Callable[[URSTError], None] = lambda _: None
    listener: Listener = ignore

    def draw(
        self,
        contents: Sequence[FoundPicture],
        styles: Sequence[FoundPicture],
        tell: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Paint every content in every style.

        Args:
            contents: a row each.
            styles: a column each: picture files, style files, or names of built-in styles.
            tell: called after each row.

        Returns:
            The sheet, (3, H, W), uint8.

        Raises:
            ImageError: no content or no style is left.
        """
        tried = [self._try(partial(self._column, style)) for style in styles]
        columns = [column for column in tried if column is not None]
        rows: list[list[Cell]] = []
        for content in contents if columns else ():
            row = self._try(partial(self._row, content, columns))
            rows += [row] if row is not None else []
            tell()
        if not rows:
            raise ImageError("no picture is left for the sheet", "name others")
        header = [Cell(), *(column.header for column in columns)]
        return draw_table([header, *rows], self.edge)

    def _try(self, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except URSTError as error:
            self.report(error)
            return None

    @cached_property
    def _on_device(self) -> Backbone:
        return self.backbone.on(find_device(self.settings.device))

    def _column(self, style: FoundPicture) -> Column:
        name = str(style.path)
        opened = open_style(name, self.backbone, self.input_options)
        small = SavedStyle.load(style.path).preview if is_style_file(name) else None
        for picture in pictures_among([opened]):
            thumbnail = self._shrunk(picture, self.settings.style_size)
            opened, small = TensorSource(thumbnail), from_unit(thumbnail, torch.uint8)
        if self.settings.colors != "matched":
            opened = encode_styles([opened], None, self._on_device, self.settings, self.listener)
        return Column(opened, Cell(None if small is None else self._small(small), style.label))

    def _row(self, content: FoundPicture, columns: Sequence[Column]) -> list[Cell]:
        source = open_picture(content.path, flatten=True, options=self.input_options)
        strokes = "preview" if self.settings.strokes == "fine" else self.settings.strokes
        coarsest = level_sizes(source.size, replace(self.settings, strokes=strokes))[0]
        photo = TensorSource(from_unit(self._shrunk(source, max(coarsest)), torch.uint8))
        cells = [Cell(self._small(photo.pixels), content.label)]
        for column in columns:
            canvas = TensorCanvas(photo.size)
            plain = replace(self.settings, strokes="fine")
            styles = column.style if isinstance(column.style, StyleCode) else [column.style]
            stylize(photo, styles, canvas, self._on_device, plain, listener=self.listener)
            cells.append(Cell(self._small(canvas.pixels)))
        return cells

    def _shrunk(self, picture: Source, longest_side: int) -> Tensor:
        """A picture's thumbnail, (3, h, w), 0..1; the picture is closed."""
        try:
            return make_thumbnail(picture, longest_side)[0]
        finally:
            close_picture(picture)

    def _small(self, pixels: Tensor) -> Tensor:
        return from_unit(make_thumbnail(TensorSource(pixels), self.edge)[0], torch.uint8)
