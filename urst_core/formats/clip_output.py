"""Videos as results: segments of H.264 that are joined at the end, with the clip's own sound.

Each segment is encoded by itself, from a key frame on, so that a run that was interrupted resumes
at a segment and ends with the same bytes. Joining copies packets, of pictures and of sound; nothing
is encoded twice.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import Install, OutputError, first_line
from .clip import (
    FULL_RANGE,
    LIMITED_RANGE,
    UNSPECIFIED,
    Clip,
    Frame,
    av_library,
    opened_clip,
)
from .clip_endings import RESULT_ENDINGS
from .output_options import DEFAULT_QUALITY, LABELS, OutputOptions

ENCODER = "libx264"

ENCODER_OPTIONS = {
    "preset": "medium",
    # Frames of one segment must not refer to another's, and packets are in the order of frames.
    "bf": "0",
    # The number of threads changes the bytes.
    "threads": "4",
}

LEAST_LOSS = 108
"""CRF of quality 0: 16 for the default quality of 92, which hardly anyone tells from the frames."""


def check_clip_output(clip: Clip, output: Path, options: OutputOptions) -> None:
    """Refuse, before any work, a result that could not be written.

    Raises:
        OutputError: no such file can be written, or it cannot hold the clip's sound.
    """
    if output.suffix.lower() not in RESULT_ENDINGS:
        raise OutputError(
            f"{output}: videos are written as {', '.join(RESULT_ENDINGS)}", "choose another name"
        )
    options.check()
    for name in options.chosen:
        if name != "quality":
            raise OutputError(f"{output}: videos take no choice of {LABELS[name]}; leave it out")
    if ENCODER not in av_library().codecs_available:
        raise OutputError(f"this PyAV has no {ENCODER}, which encodes videos", Install("av"))
    _check_sound(clip, output)


def _check_sound(clip: Clip, output: Path) -> None:
    """Try to begin a file of the format with the streams of the clip's sound."""
    av = av_library()
    with opened_clip(clip.path) as source:
        if not source.streams.audio:
            return
        names = ", ".join(stream.codec_context.name for stream in source.streams.audio)
        try:
            with av.open(io.BytesIO(), "w", format=_format_name(output)) as trial:
                for stream in source.streams.audio:
                    trial.add_stream_from_template(stream)
                trial.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            raise OutputError(
                f"{output} cannot hold the sound of {clip.path} ({names})", "name a .mkv file"
            ) from error


def _format_name(output: Path) -> str:
    return {".mkv": "matroska"}.get(output.suffix.lower(), output.suffix.lower()[1:])


class SegmentWriter:
    """Encodes some frames of a video into a file of their own.

    Args:
        path: the file, which is replaced.
        clip: has size, rate and colors of the video.
        options: its quality.

    Raises:
        OutputError: the file cannot be created.
    """

    def __init__(self, path: Path, clip: Clip, options: OutputOptions) -> None:
        self._av, self._path, self._clip = av_library(), path, clip
        with self._worded():
            self._file = self._av.open(str(path), "w", format="nut")
            self._stream = _add_encoder(self._file, clip, options.quality or DEFAULT_QUALITY)

    def write(self, frame: Frame) -> None:
        """Encode a frame.

        Raises:
            OutputError: the disk is full or failing.
        """
        pixels = frame.pixels.permute(1, 2, 0).contiguous().numpy()
        picture = self._av.VideoFrame.from_ndarray(pixels, format="rgb24")
        space = self._clip.colors.space
        # PyAV 17 does not know BT.2020 as a target, but takes it from the picture.
        picture.colorspace = space
        picture = picture.reformat(
            format=self._stream.codec_context.pix_fmt,
            dst_colorspace=None if space == UNSPECIFIED else space,
            src_color_range=FULL_RANGE,
            dst_color_range=LIMITED_RANGE,
            interpolation="BICUBIC",
        )
        picture.pts, picture.time_base = frame.time, self._clip.time_base
        picture.duration = frame.duration
        with self._worded():
            self._file.mux(self._stream.encode(picture))

    def close(self) -> None:
        """Finish the file.

        Raises:
            OutputError: the disk is full or failing.
        """
        with self._worded():
            self._file.mux(self._stream.encode(None))
            self._file.close()

    @contextmanager
    def _worded(self) -> Generator[None, None, None]:
        with _worded(self._path):
            yield

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()


def _add_encoder(file: Any, clip: Clip, quality: int) -> Any:
    height, width = clip.size
    crf = min(51, LEAST_LOSS - quality)
    options = {**ENCODER_OPTIONS, "crf": str(crf)}
    stream = file.add_stream(ENCODER, rate=clip.rate, options=options)
    stream.width, stream.height = width, height
    # Halved colors need even sides.
    stream.pix_fmt = "yuv444p" if height % 2 or width % 2 else "yuv420p"
    context = stream.codec_context
    context.time_base, context.color_range = clip.time_base, LIMITED_RANGE
    context.colorspace = clip.colors.space
    context.color_primaries = clip.colors.primaries
    context.color_trc = clip.colors.transfer
    # Once for the whole file, not in each packet: packets of all segments then fit together.
    context.flags |= av_library().codec.context.Flags.global_header
    return stream


def join_segments(
    segments: Sequence[Path],
    clip: Clip,
    output: Path,
    partial: Path,
    *,
    comment: str | None = None,
    listener: Callable[[float], None] = lambda _: None,
) -> None:
    """Join segments and the clip's sound to one file, copying all packets.

    Args:
        segments: files of :class:`SegmentWriter`, in order.
        clip: its sound and metadata are copied.
        output: the result; its ending chooses the format.
        partial: where to write it.
        comment: text for its metadata; the clip's own if None.
        listener: called with the share of the frames that are joined; if it raises, the work ends.

    Raises:
        OutputError: the disk is full or failing.
        ImageError: the clip cannot be read.
    """
    av = av_library()
    with opened_clip(clip.path) as source, opened_clip(segments[0]) as first, _worded(output):
        metadata = {**source.metadata, **({"comment": comment} if comment else {})}
        with av.open(str(partial), "w", format=_format_name(output)) as result:
            result.metadata.update(metadata)
            picture = result.add_stream_from_template(first.streams.video[0])
            picture.time_base = clip.time_base
            picture.codec_context.framerate = clip.rate
            sound = {stream: _copied_stream(result, stream) for stream in source.streams.audio}
            pictures = _packets_of_segments(segments, picture)
            others = _packets_of_sound(source, sound)
            done = 0
            for _, is_sound, packet in heapq.merge(pictures, others, key=lambda each: each[:2]):
                result.mux_one(packet)
                if not is_sound:
                    done += 1
                    listener(min(1.0, done / clip.count))


def _copied_stream(result: Any, stream: Any) -> Any:
    copied = result.add_stream_from_template(stream)
    copied.metadata.update(stream.metadata)
    copied.disposition = stream.disposition.value
    return copied


Timed = tuple[Fraction, bool, Any]
"""Seconds at which a packet is decoded, whether it is sound, and the packet."""


def _packets_of_segments(segments: Sequence[Path], stream: Any) -> Iterator[Timed]:
    for path in segments:
        with opened_clip(path) as segment:
            for packet in segment.demux(segment.streams.video[0]):
                if packet.size:
                    seconds = packet.dts * packet.time_base
                    packet.stream = stream
                    yield seconds, False, packet


def _packets_of_sound(source: Any, streams: dict[Any, Any]) -> Iterator[Timed]:
    if not streams:
        return
    seconds = Fraction(0)
    for packet in source.demux(*streams):
        if packet.size:
            seconds = packet.dts * packet.time_base if packet.dts is not None else seconds
            packet.stream = streams[packet.stream]
            yield seconds, True, packet


@contextmanager
def _worded(path: Path) -> Generator[None, None, None]:
    """Word PyAV's errors while a file is written."""
    av = av_library()
    try:
        yield
    except av.FFmpegError as error:
        raise OutputError(
            f"writing {path} failed ({first_line(error)})", "free disk space"
        ) from error
