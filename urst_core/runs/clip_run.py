"""From video to video: a run that survives crashes, and takes no more memory for an hour of film.

Statistics are measured once, on a sample of frames; then frames are painted one by one. Segments of
finished frames are kept beside the result until it is complete, and then joined with the clip's
sound. An interrupted run resumes after the last segment, and ends with the same bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import torch

from ..durable import file_hash, flush_file, partial_path, publish
from ..errors import OutputError
from ..formats.clip import Clip, Frame
from ..formats.clip_output import SegmentWriter, check_clip_output, join_segments
from ..formats.open import check_place
from ..formats.output_options import OutputOptions
from ..formats.places import check_name, check_not_replaced
from ..formats.styles import open_style
from ..method.clip import FramePainter, measure_sample
from ..method.encoding import check_matchable
from ..method.run import Run
from ..method.video import Frames
from ..networks.frozen_stats import FrozenStats
from ..networks.model import Backbone
from ..networks.style import AnyStyle
from ..pictures.source import TensorCanvas, TensorSource, blank_picture, close_picture
from ..progress import Listener, Progress, ignore
from ..tiling.device import cpu_threads
from ..tiling.settings import IfInterrupted, Settings
from .description import Description
from .identities import look_identity, machine_identity, style_identity
from .interrupted import discard_interrupted, is_same_run, record_to_resume, removed_at_end
from .record import RunRecord
from .segments import Segment, finished_segments
from .work_folder import LevelFiles, WorkFolder

FRAMES_STAGE = "frames"
"""Name of the stage in which frames are painted; its tiles are frames."""

SAMPLE_STAGE, STATISTICS_STAGE = "sample", "statistics"
SKIPPING_STAGE, JOINING_STAGE = "skipping", "joining"
"""Names of the others."""

SAMPLE_FRAMES = 16
"""Number of frames on which statistics are measured."""

SEGMENT_FRAMES = 24
"""Frames of a segment, a second of film: what an interruption costs at most."""


@dataclass(frozen=True)
class ClipRun:
    """Stylizes one video into another, with the same frames, times and sound.

    Attributes:
        content: the video.
        styles: picture files, style files, or names of built-in styles.
        output: the file to write; its extension determines the container.
        backbone: network and weights.
        settings: how to stylize.
        style_weights: share of each style; equal if None.
        options: of videos, the quality.
        overwrite: whether an existing result may be replaced.
        describe: whether the result's metadata say what it was made with.
    """

    content: Path
    styles: Sequence[str]
    output: Path
    backbone: Backbone
    settings: Settings = field(default_factory=Settings)
    style_weights: Sequence[float] | None = None
    options: OutputOptions = field(default_factory=OutputOptions)
    overwrite: bool = False
    describe: bool = True

    @cached_property
    def clip(self) -> Clip:
        """The content, opened.

        Raises:
            ImageError: it cannot be used.
        """
        return Clip.open(self.content)

    def run(
        self, listener: Listener = ignore, *, if_interrupted: IfInterrupted = IfInterrupted.REFUSE
    ) -> None:
        """Write the result. If interrupted, finished segments are kept.

        Args:
            listener: called after each tile; if it raises, the run ends.
            if_interrupted: what to do about an earlier, interrupted run.

        Raises:
            URSTError: an input cannot be used, or the result cannot be written.
        """
        folder = WorkFolder(self.output)
        earlier = folder.load_record() if if_interrupted is IfInterrupted.RESUME else None
        overwrite = self.overwrite or (earlier is not None and earlier.overwrite)
        self.check(overwrite=overwrite)
        with folder.locked():
            record = record_to_resume(folder, if_interrupted, self.identity)
            with removed_at_end(folder):
                record = record or self._begin(folder)
                with cpu_threads(record.threads):
                    segments = self._paint(folder, record, listener)
                check_place(self.output, is_folder=False, overwrite=overwrite)
                self._join(folder, segments, listener)

    def check(self, *, overwrite: bool) -> None:
        """Check everything that can be checked before any work.

        Raises:
            URSTError: a setting, the clip, a style or the output cannot be used.
        """
        self.settings.check(self.backbone.traits)
        check_name(self.output)
        check_clip_output(self.clip, self.output, self.options)
        inputs = [("content", self.content), *(("style", Path(style)) for style in self.styles)]
        for kind, path in inputs:
            check_not_replaced(self.output, [self.output.resolve()], kind, path)
        check_place(self.output, is_folder=False, overwrite=overwrite)
        with self._styles() as styles:
            check_matchable(styles, self.backbone, self.settings)

    def can_resume(self) -> bool:
        """Whether an earlier run for the output was interrupted and had the same inputs.

        Raises:
            URSTError: an input of this run cannot be used.
        """
        return is_same_run(WorkFolder(self.output), self.identity)

    def discard_interrupted(self) -> None:
        """Remove the finished segments of an earlier, interrupted run for the output.

        Raises:
            OutputError: another run is using them, or they cannot be removed.
        """
        discard_interrupted(self.output)

    def identity(self, earlier: RunRecord | None = None) -> dict[str, str]:
        """Everything that determines the result; automatic choices are the earlier run's."""
        height, width = self.clip.size
        is_plain = self._any_run.is_plain
        return {
            "content": file_hash(self.content),
            "picture": f"{width} x {height} px, {self.clip.count} frames",
            **style_identity(self.backbone, self.styles, self.style_weights),
            **look_identity(self.settings, is_plain=is_plain),
            "quality": str(self.options.quality or "default"),
            **machine_identity(self.settings, earlier),
        }

    def description(self) -> Description:
        """What the result is made with.

        Raises:
            ImageError: a style cannot be read.
        """
        return Description.of(
            self.backbone,
            self.styles,
            self.settings,
            self.options,
            style_weights=self.style_weights,
        )

    @property
    def _blank_frame(self) -> TensorSource:
        return blank_picture(self.clip.size, dtype=torch.uint8)

    @property
    def _any_run(self) -> Run:
        """The run of a frame, whichever it is: for what depends on its size alone."""
        return Run.of(self._blank_frame, self.backbone, self.settings)

    def _begin(self, folder: WorkFolder) -> RunRecord:
        """Empty the folder, and save the record of a new run in it."""
        folder.clear()
        tiles = self._any_run.tiles(torch.float32)
        record = RunRecord(
            self.identity(),
            self.clip.size,
            tiles.edge,
            torch.get_num_threads(),
            overwrite=self.overwrite,
            level_pixels=self.clip.pixels,
        )
        folder.save_record(record)
        return record

    def _paint(self, folder: WorkFolder, record: RunRecord, listener: Listener) -> list[Segment]:
        """Paint the missing segments; returns all of them."""
        segments = finished_segments(folder.path)
        done = sum(segment.frames for segment in segments)
        if done >= self.clip.count:
            return segments
        report = FrameReport(self.clip, done, listener)
        painter = self._painter(folder, record, listener)
        frames = self.clip.frames(first=done, tell=report.tell_skipped)
        while some := list(islice(frames, 1)):
            some_more = islice(frames, SEGMENT_FRAMES - 1)
            partial = partial_path(folder.path / "segment")
            painted = self._paint_segment(partial, chain(some, some_more), painter, report)
            segments.append(Segment.publish(partial, folder.path, len(segments), painted))
        return segments

    def _paint_segment(
        self, path: Path, frames: Iterable[Frame], painter: FramePainter, report: FrameReport
    ) -> int:
        """Paint frames into a file; returns their number."""
        before = report.done
        with SegmentWriter(path, self.clip, self.options) as writer:
            for frame in frames:
                canvas = TensorCanvas(self.clip.size)
                painter.paint(TensorSource(frame.pixels), canvas, report.tell)
                writer.write(replace(frame, pixels=canvas.pixels))
                report.done += 1
        return report.done - before

    def _painter(self, folder: WorkFolder, record: RunRecord, listener: Listener) -> FramePainter:
        """Measure a sample of the frames, unless an earlier run did, and make the networks."""
        settings = replace(
            self.settings,
            precision=record.precision or self.settings.precision,
            tile_size=self.settings.tile_size or record.statistics_tile_size,
        )
        stats = _load_stats(folder, len(self._any_run.level_sizes))
        sample: list[TensorSource] = []
        if stats is None or record.precision is None:
            sample = self._sample(listener)
        if stats is None:
            report = SampleReport(self.clip, len(sample), listener)
            with self._styles() as styles:
                frames = Frames(sample, styles, self.style_weights, report.listener_of)
                stats = measure_sample(frames, self.backbone, settings)
            _save_stats(folder, stats)
        proof = sample[len(sample) // 2] if sample else self._blank_frame
        painter = FramePainter.of(proof, stats, self.backbone, settings, pixels=self.clip.pixels)
        folder.save_record(replace(record, precision=painter.precision))
        return painter

    def _sample(self, listener: Listener) -> list[TensorSource]:
        """Frames to measure."""
        total = self.clip.pixels

        def tell(number: int) -> None:
            done = min((number + 1) * self.clip.frame_pixels, total)
            listener(Progress(SAMPLE_STAGE, 0, 0, done, total))

        return [TensorSource(pixels) for pixels in self.clip.sample(SAMPLE_FRAMES, tell=tell)]

    @contextmanager
    def _styles(self) -> Generator[list[AnyStyle], None, None]:
        """The styles, opened during the block.

        Raises:
            ImageError, StatsError: a style cannot be used.
        """
        styles = [open_style(style, self.backbone) for style in self.styles]
        try:
            yield styles
        finally:
            for style in styles:
                close_picture(style)

    def _join(self, folder: WorkFolder, segments: Sequence[Segment], listener: Listener) -> None:
        """Join the segments and the sound, and give the result its name."""
        total = self.clip.pixels
        partial = partial_path(folder.path / "joined")
        join_segments(
            [segment.path for segment in segments],
            self.clip,
            self.output,
            partial,
            comment=self.description().text() if self.describe else None,
            listener=lambda share: listener(
                Progress(JOINING_STAGE, 0, 0, round(share * total), total)
            ),
        )
        try:
            flush_file(partial)
            publish(partial, self.output.resolve())
        except OSError as error:
            raise OutputError(f"writing {self.output} failed ({error})") from error


class SampleReport:
    """Reports the measurement of a sample of frames, which take turns.

    Args:
        clip: the video.
        count: number of frames in the sample.
        listener: called with the reports.
    """

    def __init__(self, clip: Clip, count: int, listener: Listener) -> None:
        self._shares, self._listener = [0.0] * count, listener
        self._total = count * clip.frame_pixels

    def listener_of(self, number: int) -> Listener:
        """A listener for one of the frames."""

        def tell(progress: Progress) -> None:
            share = progress.pixels_done / max(1, progress.pixels_total)
            self._shares[number] = max(self._shares[number], share)
            done = round(sum(self._shares) / len(self._shares) * self._total)
            self._listener(Progress(STATISTICS_STAGE, 0, 0, done, self._total))

        return tell


class FrameReport:
    """Reports tiles as progress of the whole video, whose tiles are frames.

    Args:
        clip: the video.
        done: number of frames that are finished already.
        listener: called with the reports.

    Attributes:
        done: number of frames that are finished.
    """

    def __init__(self, clip: Clip, done: int, listener: Listener) -> None:
        self._clip, self.done, self._listener = clip, done, listener

    def tell_skipped(self, number: int) -> None:
        """Report a frame that an earlier run finished; others are told tile by tile."""
        if number < self.done:
            done = (number + 1) * self._clip.frame_pixels
            self._listener(Progress(SKIPPING_STAGE, 0, 0, done, self._clip.pixels))

    def tell(self, progress: Progress) -> None:
        """Report a tile of the frame that is being painted."""
        share = progress.pixels_done / max(1, progress.pixels_total)
        self._listener(
            replace(
                progress,
                stage=FRAMES_STAGE,
                tiles_done=self.done,
                tiles_total=self._clip.count,
                pixels_done=round((self.done + share) * self._clip.frame_pixels),
                pixels_total=self._clip.pixels,
            )
        )


def _save_stats(folder: WorkFolder, stats: Sequence[FrozenStats]) -> None:
    for files, each in zip(_stats_files(folder, len(stats)), stats):
        files.save_stats(each)


def _load_stats(folder: WorkFolder, levels: int) -> list[FrozenStats] | None:
    """The statistics of all levels; None if an earlier run did not finish them."""
    stats = [files.load_stats() for files in _stats_files(folder, levels)]
    found = [each for each in stats if each is not None]
    return found if len(found) == levels else None


def _stats_files(folder: WorkFolder, levels: int) -> list[LevelFiles]:
    return [*map(folder.level, range(levels - 1)), folder.last_level()]
