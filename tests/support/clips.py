"""Small video files, made and read with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SAMPLE_RATE = 44100


def moving_frames(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Waves that move, as (height, width, 3), uint8."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [
        (np.sin((x + 3 * i) / 17), np.cos((y - 2 * i) / 13), np.sin((x + y) / 29))
        for i in range(count)
    ]
    return [(127 + 100 * np.stack(each, -1)).astype(np.uint8) for each in waves]


def save_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    times: Sequence[int] | None = None,
    sound: str | None = "aac",
    wave: np.ndarray | None = None,
    space: int = 2,
    rotation: int = 0,
    pictures: bool = True,
) -> Path:
    """Write a clip of 25 frames per second.

    Args:
        path: the file; its ending chooses the container.
        frames: (height, width, 3), uint8.
        times: of the frames, in hundredths of a second; 0, 4, 8, … if None.
        sound: codec of the sound; None for silence.
        wave: the sound, int16, 44,100 samples per second; a tone as long as the frames if None.
        space: description of the colors, as in H.273.
        rotation: by which players turn the frames, in degrees counterclockwise.
        pictures: whether there are frames at all.
    """
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"threads": "1"}) if pictures else None
        audio = out.add_stream(sound, rate=SAMPLE_RATE, layout="mono") if sound else None
        if video is not None:
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = Fraction(1, 100)
            video.codec_context.colorspace = space
            if rotation:
                video.set_display_rotation(rotation)
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = (
                    (times or range(0, 4 * len(frames), 4))[index],
                    Fraction(1, 100),
                )
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if audio is not None:
            for frame in _sound_frames(_tone(len(frames)) if wave is None else wave):
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def _tone(count: int) -> np.ndarray:
    wave = np.sin(np.arange(SAMPLE_RATE * count // 25) * 0.06).astype(np.float32)
    return (8000 * wave).astype(np.int16)


def _sound_frames(wave: np.ndarray) -> list[av.AudioFrame]:
    frames = []
    for start in range(0, len(wave), 1024):
        part = wave[None, start : start + 1024]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        frames.append(frame)
    return frames


def sound_of(path: Path) -> list[bytes]:
    """The packets of the sound, as they are stored."""
    with av.open(str(path)) as clip:
        return [bytes(packet) for packet in clip.demux(audio=0) if packet.size]


def seconds_of(path: Path) -> list[Fraction]:
    """When the frames are shown."""
    with av.open(str(path)) as clip:
        return [frame.pts * frame.time_base for frame in clip.decode(video=0)]
