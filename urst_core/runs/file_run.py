"""From file to file: a run that survives crashes, power cuts and a full disk.

Finished tiles are kept beside the result until it is complete. An interrupted run resumes from
there and ends with the same bytes as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..durable import file_hash
from ..errors import SettingsError
from ..formats.disk_needs import TemporarySpace
from ..formats.encode import encode
from ..formats.input_options import InputOptions
from ..formats.open import check_apart, check_output_name, for_format, open_picture
from ..formats.output_options import OutputOptions
from ..formats.styles import open_style
from ..formats.vips import vips, vips_errors
from ..formats.work_file import WorkFile
from ..method.encoding import check_matchable
from ..method.regions import Regions
from ..method.run import Run
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.style import AnyStyle, StyleCode
from ..pictures.metadata import WithMetadata, metadata_of
from ..pictures.source import Source, close_picture
from ..progress import UNPACKING_STAGE, Listener, Progress, ignore
from ..tiling.device import PRECISIONS, cpu_threads
from ..tiling.settings import IfInterrupted, Settings
from .checked_pixels import CheckedPixels
from .description import Description
from .identities import look_identity, machine_identity, style_identity
from .interrupted import (
    discard_interrupted,
    is_same_run,
    record_to_resume,
    remove_leftovers,
    removed_at_end,
)
from .journal import Journal
from .levels import finishing, make_levels
from .mask_file import MaskFile
from .plan import Plan, plan_run
from .printing import Printing
from .record import RunRecord
from .region_file import MapFile
from .work_folder import WorkFolder


@dataclass(frozen=True)
class FileRun:
    """Stylizes one picture file into another.

    Attributes:
        content: the picture.
        styles: picture files, style files, or names of built-in styles.
        output: the file to write; its extension determines the format.
        backbone: network and weights.
        settings: how to stylize.
        style_weights: share of each style; equal if None.
        options: options of the output format.
        input_options: how strictly to check pictures that are read.
        overwrite: whether an existing result may be replaced.
        mask: where to stylize; everywhere if None.
        regions: where to use which of the styles; their mixture everywhere if None.
        style_code: the styles' code, if they have been encoded for other pictures before.
        describe: whether the result's metadata say what it was made with.
        printing: size and resolution of a print.
    """

    content: Path
    styles: Sequence[str]
    output: Path
    backbone: Backbone
    settings: Settings = field(default_factory=Settings)
    style_weights: Sequence[float] | None = None
    options: OutputOptions = field(default_factory=OutputOptions)
    input_options: InputOptions = field(default_factory=InputOptions)
    overwrite: bool = False
    mask: MaskFile | None = None
    regions: MapFile | None = None
    style_code: StyleCode | None = None
    describe: bool = True
    printing: Printing = field(default_factory=Printing)

    @cached_property
    def source(self) -> Source:
        """The content, opened; in the pixels of the print, if there is one.

        Raises:
            ImageError: it cannot be used.
        """
        picture = open_picture(self.content, options=self.input_options)
        return self.printing.resize(for_format(picture, self.output))

    @cached_property
    def style_sources(self) -> list[AnyStyle]:
        """The styles, opened.

        Raises:
            ImageError, StatsError: a style cannot be used.
        """
        return [open_style(style, self.backbone, self.input_options) for style in self.styles]

    @cached_property
    def run_regions(self) -> Regions | None:
        """The regions with their styles, opened; None if there is no map.

        Raises:
            URSTError: the map or a style cannot be used.
        """
        if self.regions is None:
            return None
        return self.regions.regions(self.style_sources, self.style_weights)

    @property
    def run_styles(self) -> Sequence[AnyStyle] | StyleCode | Regions:
        """The styles as a :class:`~urst_core.method.pipeline.Run` takes them."""
        if self.style_code is not None:
            return self.style_code
        return self.run_regions or self.style_sources

    def run(
        self, listener: Listener = ignore, *, if_interrupted: IfInterrupted = IfInterrupted.REFUSE
    ) -> None:
        """Write the result, and close all pictures. If interrupted, finished tiles are kept.

        Args:
            listener: called after each tile and during encoding; if it raises, the run ends.
            if_interrupted: what to do about an earlier, interrupted run.

        Raises:
            URSTError: an input cannot be used, or the result cannot be written.
        """
        try:
            self._run(listener, if_interrupted)
        finally:
            self.close()

    def _run(self, listener: Listener, if_interrupted: IfInterrupted) -> None:
        folder = WorkFolder(self.output)
        record = folder.load_record() if if_interrupted is IfInterrupted.RESUME else None
        self.check(overwrite=self.overwrite or (record is not None and record.overwrite))
        self.plan().check(present_bytes=folder.stored_bytes() if record else 0)
        with folder.locked():
            record = self._interrupted(folder, if_interrupted)
            with removed_at_end(folder):
                record = record or self._begin(folder)
                with cpu_threads(record.threads):
                    self._continue(folder, record, listener)

    def can_resume(self) -> bool:
        """Whether an earlier run for the output was interrupted and had the same inputs.

        False, too, if its record cannot be read.

        Raises:
            URSTError: an input of this run cannot be used.
        """
        try:
            return is_same_run(WorkFolder(self.output), self.identity)
        finally:
            self.close()

    def discard_interrupted(self) -> None:
        """Remove the finished tiles of an earlier, interrupted run for the output.

        Raises:
            OutputError: another run is using them, or they cannot be removed.
        """
        discard_interrupted(self.output)

    def remove_leftovers(self) -> None:
        """Remove what this run left behind if it was killed when the output was complete.

        Raises:
            URSTError: an input of this run cannot be used.
        """
        try:
            remove_leftovers(self.output, self.identity)
        finally:
            self.close()

    def close(self) -> None:
        """Close content, styles and mask, which are opened again when they are needed again.

        Otherwise an unpacked JPEG would stay on the disk of temporary files.
        """
        opened = [self.__dict__.pop("source", None), *self.__dict__.pop("style_sources", ())]
        self.__dict__.pop("run_regions", None)
        for picture in (*opened, self.mask, self.regions):
            close_picture(picture)

    def run_value(self, listener: Listener = ignore, **chosen: Any) -> Run:
        """The run of the content, with the settings in ``chosen`` replaced.

        Raises:
            URSTError: as in :meth:`Run.of`.
        """
        settings = replace(self.settings, **chosen)
        mask = self.mask.mask if self.mask else None
        return Run.of(
            self.source,
            self.backbone,
            settings,
            mask=mask,
            regions=self.run_regions,
            listener=listener,
        )

    @property
    def shares_style_code(self) -> bool:
        """Whether the styles have the same code with every content."""
        return self.settings.colors != "matched" and self.regions is None

    def encode_styles(self, listener: Listener = ignore) -> StyleCode:
        """Encode the styles, for several runs with the same ones.

        Raises:
            URSTError: a style or a setting cannot be used.
        """
        return self.run_value(listener).encode(self.style_sources, self.style_weights)

    def check(self, *, overwrite: bool) -> None:
        """Check everything that can be checked before any work.

        Raises:
            URSTError: a setting, a picture, the output, or the device cannot be used.
        """
        self.settings.check(self.backbone.traits)
        self.printing.check()
        if self.regions is not None and self.printing.paper is not None:
            raise SettingsError(
                f"print size {self.printing.paper} does not work with maps of styles",
                "leave out one of them",
            )
        inputs = [("style", Path(style)) for style in self.styles]
        if self.mask is not None:
            inputs.append(("mask", self.mask.path))
        if self.regions is not None:
            inputs.append(("region map", self.regions.path))
        for kind, path in inputs:
            check_apart(self.output, kind, path)
        check_output_name(self.output, self.source, self.options, overwrite=overwrite)
        if self.mask is not None:
            self.mask.mask.check_size(self.source.size)
        if self.regions is not None:
            self.run_value()
            self.regions.check()
        check_matchable(self.run_styles, self.backbone, self.settings)

    def unpack(self, listener: Listener = ignore) -> None:
        """Unpack the content if it cannot be read in parts, which may take minutes.

        Args:
            listener: called with the progress; if it raises, the run ends.

        Raises:
            ImageError: the content is damaged, or the disk is full.
        """
        height, width = self.source.size

        def tell(share: float) -> None:
            area = height * width
            listener(Progress(UNPACKING_STAGE, 0, 0, round(share * area), area))

        unpack = getattr(self.source, "unpack", None)
        if unpack is not None:
            unpack(tell)

    def plan(self) -> Plan:
        """Plan the run without trying any tile."""
        maps = [each.picture for each in (self.mask, self.regions) if each is not None]
        return plan_run(
            self.run_value(),
            self.style_sources,
            self.output,
            self.options,
            temporary=TemporarySpace.of([self.source, *self.style_sources, *maps]),
        )

    def _interrupted(self, folder: WorkFolder, if_interrupted: IfInterrupted) -> RunRecord | None:
        """The record of the run to resume; None to start a new one."""
        record = record_to_resume(folder, if_interrupted, self.identity)
        return record and replace(record, overwrite=record.overwrite or self.overwrite)

    def _begin(self, folder: WorkFolder) -> RunRecord:
        """Empty the folder, and save the record of a new run in it."""
        folder.clear()
        run = self.run_value()
        record = RunRecord(
            self.identity(),
            run.frame,
            run.tiles(torch.float32).edge if run.is_plain else run.largest_tile,
            torch.get_num_threads(),
            overwrite=self.overwrite,
            level_pixels=0 if run.is_plain else run.level_pixels().total,
        )
        WorkFile.create(folder.pixels, self.source).close()
        folder.save_record(record)
        return record

    def identity(self, earlier: RunRecord | None = None) -> dict[str, str]:
        """Everything that determines the pixels; automatic choices are those of the earlier run."""
        source, (height, width) = self.source, self.source.size
        return {
            "content": file_hash(self.content),
            "picture": f"{width} x {height} px, {source.channels} channels, {source.dtype}",
            **style_identity(self.backbone, self.styles, self.style_weights),
            **look_identity(self.settings, is_plain=self.run_value().is_plain),
            **(self.mask.fingerprint() if self.mask else {}),
            **(self.regions.fingerprint() if self.regions else {}),
            **self.printing.identity(),
            **machine_identity(self.settings, earlier),
            "libvips": _libvips_version(),
        }

    def _continue(self, folder: WorkFolder, record: RunRecord, listener: Listener) -> None:
        """Do the remaining work."""
        self.unpack(listener)
        if self.run_value().is_plain:
            with finishing(folder, folder.last_level(), self.source) as (pixels, journal):
                self._make_tiles(folder, record, pixels, journal, listener)
        else:
            run = self.run_value(listener)
            make_levels(
                run, folder, self._code_for_levels, largest_tile=record.statistics_tile_size
            )
        check_output_name(self.output, self.source, self.options, overwrite=record.overwrite)
        self._encode(folder, listener)

    def _code_for_levels(self, run: Run) -> StyleCode:
        return run.code_for_levels(self.run_styles, self.style_weights)

    def _make_tiles(
        self,
        folder: WorkFolder,
        record: RunRecord,
        pixels: CheckedPixels,
        journal: Journal,
        listener: Listener,
    ) -> None:
        run = self.run_value(
            listener,
            tile_size=record.tile_size or self.settings.tile_size,
            precision=record.precision or self.settings.precision,
        )
        network = run.network(self._measure(folder, record, listener))
        if record.tile_size is None:
            dtype = network.compute_dtype
            name = next(name for name in PRECISIONS if PRECISIONS[name] == dtype)
            folder.save_record(replace(record, tile_size=run.tiles(dtype).edge, precision=name))
        run.stylize(network, pixels, ledger=journal)

    def _measure(self, folder: WorkFolder, record: RunRecord, listener: Listener) -> FrozenStats:
        """Measure the statistics that were not kept from an earlier run."""
        earlier = folder.load_stats()
        sites = len(self.backbone.network.site_names)
        if earlier is not None and (self.settings.stats != "exact" or len(earlier.sites) == sites):
            return earlier
        stats = self.run_value(listener, tile_size=record.statistics_tile_size).measure(
            self.run_styles,
            style_weights=self.style_weights,
            earlier=earlier,
            keep=folder.save_stats,
        )
        folder.save_stats(stats)
        return stats

    def _encode(self, folder: WorkFolder, listener: Listener) -> None:
        height, width = self.source.size

        def tell(share: float) -> None:
            area = height * width
            listener(Progress("encoding", 0, 0, round(share * area), area))

        encode(
            folder.pixels,
            self.output,
            self._described(),
            self.options,
            partial_folder=folder.path,
            listener=tell,
        )

    def description(self) -> Description:
        """What the result is made with.

        Raises:
            ImageError: a style or the mask cannot be read.
        """
        return Description.of(
            self.backbone,
            self.styles,
            self.settings,
            self.options,
            style_weights=self.style_weights,
            mask=self.mask,
            regions=self.regions,
            printing=self.printing,
        )

    def _described(self) -> Source:
        """The content, with the metadata of the result."""
        metadata = self.printing.describe(metadata_of(self.source))
        if self.describe:
            metadata = metadata.with_painting(self.description().text())
        return WithMetadata(self.source, metadata)


def _libvips_version() -> str:
    """Version of the library that decodes pictures, if installed."""
    return ".".join(str(vips().version(part)) for part in range(3)) if vips_errors() else "none"
