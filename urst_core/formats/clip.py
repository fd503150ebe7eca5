"""Video clips, read frame by frame, by PyAV: an hour of film takes no more memory than a second.

Frames are upright and have 8 bits per channel, in the clip's own colors: the colors are not
converted, so that the result can be stored with the same description of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ImageError, Install, first_line
from ..geometry import Size

OLDEST_PYAV = 15
"""Frames of older ones have no durations."""

UNSPECIFIED, BT_601 = 2, 5
"""Descriptions of color spaces in H.273."""

LIMITED_RANGE, FULL_RANGE = 1, 2
"""Which values are black and white, as in FFmpeg's AVColorRange."""

DEFAULT_RATE = Fraction(25)
"""Frames per second of a clip that does not say."""


Tell = Callable[[int], None]


def av_library() -> Any:
    """PyAV, which is loaded on use.

    Raises:
        ImageError: it is not installed, or too old.
    """
    try:
        import av  # noqa: PLC0415 - of the extra "video"
    except ImportError as error:
        raise ImageError(
            f"videos are read and written with PyAV, which did not load ({error})", Install("av")
        ) from error
    if int(av.__version__.split(".")[0]) < OLDEST_PYAV:
        raise ImageError(
            f"PyAV {av.__version__} is too old for videos, which need {OLDEST_PYAV} or newer",
            Install("--upgrade av"),
        )
    return av


@dataclass(frozen=True)
class Frame:
    """One frame of a clip.

    Attributes:
        pixels: (3, height, width), uint8.
        time: when it is shown, in units of the clip's ``time_base``.
        duration: how long, in the same units; 0 if the clip does not say.
    """

    pixels: Tensor
    time: int
    duration: int


@dataclass(frozen=True)
class ColorTags:
    """How a clip describes its colors, as numbers of ITU-T H.273; 2 is unspecified."""

    space: int
    primaries: int
    transfer: int


@dataclass(frozen=True)
class Clip:
    """A video file.

    Attributes:
        path: the file.
        size: (height, width) of its upright frames, in px.
        count: number of frames.
        rate: mean number of frames per second.
        time_base: unit of its times, in seconds.
        colors: description of its colors.
        comment: text that its metadata have, if any.
    """

    path: Path
    size: Size
    count: int
    rate: Fraction
    time_base: Fraction
    colors: ColorTags
    comment: str | None = None

    @property
    def frame_pixels(self) -> int:
        """Number of pixels of a frame."""
        height, width = self.size
        return height * width

    @property
    def pixels(self) -> int:
        """Number of pixels of all frames."""
        return self.count * self.frame_pixels

    @classmethod
    def open(cls, path: Path) -> Clip:
        """Read what a file says about itself, and its first frame.

        Raises:
            ImageError: PyAV is not installed; or the file is missing, damaged, or has no pictures.
        """
        with opened_clip(path) as container:
            stream = _video_stream(path, container)
            count = stream.frames or _count_frames(container, stream)
            container.seek(0)
            first = next(container.decode(stream), None)
            if first is None or not count:
                raise ImageError(f"clip {path} has no frames")
            return cls(
                path,
                _upright(first).shape[:2],
                count,
                stream.average_rate or DEFAULT_RATE,
                stream.time_base,
                _color_tags(stream.codec_context),
                _comment_of(container),
            )

    def frames(self, *, first: int = 0, tell: Tell = lambda _: None) -> Iterator[Frame]:
        """All frames in the order in which they are shown, from a number on.

        Args:
            first: number of the first frame.
            tell: called with the number of each frame, also of those before; if it raises, reading
                ends.

        Raises:
            ImageError: a frame is damaged, or differs in size from the others.
        """
        for number, time, decoded in self._decoded(tell):
            if number >= first:
                yield Frame(self._pixels(number, decoded), time, decoded.duration or 0)

    def sample(self, most: int, *, tell: Tell = lambda _: None) -> Iterator[Tensor]:
        """Evenly spaced frames, no more than ``most``, as (3, height, width), uint8.

        Args:
            most: number of frames.
            tell: as for :meth:`frames`.

        Raises:
            ImageError: as in :meth:`frames`.
        """
        count = min(most, self.count)
        wanted = {(2 * index + 1) * self.count // (2 * count) for index in range(count)}
        for number, _, decoded in self._decoded(tell):
            if number in wanted:
                yield self._pixels(number, decoded)

    def _decoded(self, tell: Tell) -> Iterator[tuple[int, int, Any]]:
        """The number, time and decoded frame of all frames.

        Every clip is decoded from its beginning: after a seek, some codecs decode other pixels.
        """
        with opened_clip(self.path) as container:
            stream = _video_stream(self.path, container)
            stream.thread_type = "AUTO"
            last: int | None = None
            for number, decoded in enumerate(container.decode(stream)):
                tell(number)
                last = _time_after(last, decoded.pts, self)
                yield number, last, decoded

    def _pixels(self, number: int, decoded: Any) -> Tensor:
        pixels = _upright(decoded)
        self._check_size(number, pixels.shape[:2])
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def _check_size(self, number: int, size: tuple[int, ...]) -> None:
        if size != self.size:
            (height, width), (other_height, other_width) = self.size, size
            raise ImageError(
                f"frame {number} of clip {self.path} is {other_width} x {other_height} px, the "
                f"first one {width} x {height}",
                "bring all frames to one size first",
            )


@contextmanager
def opened_clip(path: Path) -> Generator[Any, None, None]:
    """PyAV's container of a file; its errors while reading are worded.

    Raises:
        ImageError: the file is missing or damaged.
    """
    av = av_library()
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            yield container
    except av.FFmpegError as error:
        raise ImageError(
            f"clip {path} cannot be read ({first_line(error)})", "check the path and the file"
        ) from error


def _video_stream(path: Path, container: Any) -> Any:
    """The first moving picture; covers of albums are stills.

    Raises:
        ImageError: there is none.
    """
    av = av_library()
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            return stream
    kinds = ", ".join(stream.type for stream in container.streams) or "nothing"
    raise ImageError(f"clip {path} has no video, only {kinds}")


def _color_tags(context: Any) -> ColorTags:
    """The description of the colors, which a decoder has read with the first frame."""
    tags = context.colorspace, context.color_primaries, context.color_trc
    return ColorTags(*map(int, tags))


def _comment_of(container: Any) -> str | None:
    """Names of metadata are in capital letters in Matroska, in small ones elsewhere."""
    texts = {name.lower(): text for name, text in container.metadata.items()}
    return texts.get("comment")


def _count_frames(container: Any, stream: Any) -> int:
    """Count the packets of a stream, one for each frame."""
    return sum(1 for packet in container.demux(stream) if packet.size)


def _time_after(last: int | None, time: int | None, clip: Clip) -> int:
    """A frame's time, which some files leave out or repeat: later than the last one."""
    if last is None:
        return time or 0
    if time is None:
        return last + max(1, round(1 / (clip.rate * clip.time_base)))
    return max(time, last + 1)


def _upright(frame: Any) -> np.ndarray[Any, Any]:
    """A decoded frame as (height, width, 3), turned as its file asks."""
    values = FULL_RANGE if frame.color_range == FULL_RANGE else LIMITED_RANGE
    picture = frame.reformat(
        format="rgb24",
        # PyAV before 17 takes every frame for BT.601 unless a target is named, too; RGB has none.
        src_colorspace=None if frame.colorspace == UNSPECIFIED else frame.colorspace,
        dst_colorspace=BT_601,
        src_color_range=values,
        dst_color_range=FULL_RANGE,
    )
    return np.rot90(picture.to_ndarray(), round(frame.rotation / 90))
