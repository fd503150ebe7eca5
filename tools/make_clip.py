"""Make sample_pictures/urst_clip.mp4, the video that a template begins with.

    python tools/make_clip.py

A view slides over the pack's photograph from left to right for two seconds, in a soft wind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "support"))

from clips import SAMPLE_RATE, save_clip  # noqa: E402

PICTURES = ROOT / "sample_pictures"
SIZE, VIEW = (480, 320), (1200, 800)
"""Width and height of the clip, and of the part of the photograph that it shows."""

FRAMES, HUNDREDTHS = 24, 8
"""How many, and how long each is shown."""

HIGHEST_PITCH, LOUDNESS = 300, 6000
"""Of the wind: in Hz, and of 32,767."""


def frames() -> Iterator[np.ndarray]:
    """(height, width, 3), uint8."""
    with Image.open(PICTURES / "urst_photograph.jpg") as photograph:
        room = [whole - part for whole, part in zip(photograph.size, VIEW)]
        for number in range(FRAMES):
            left, top = (share * number / (FRAMES - 1) for share in room)
            view = (left, top, left + VIEW[0], top + VIEW[1])
            yield np.asarray(photograph.resize(SIZE, Image.Resampling.LANCZOS, box=view))


def wind() -> np.ndarray:
    """Noise without high pitches, which swells and fades, as :func:`clips.save_clip` takes it."""
    count = SAMPLE_RATE * FRAMES * HUNDREDTHS // 100
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(size=count))
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / (1 + (hertz / HIGHEST_PITCH) ** 2), count)
    wave = noise * np.sin(np.pi * np.arange(count) / count) ** 2
    return (LOUDNESS * wave / np.abs(wave).max()).astype(np.int16)


def main() -> None:
    times = range(0, HUNDREDTHS * FRAMES, HUNDREDTHS)
    save_clip(PICTURES / "urst_clip.mp4", list(frames()), times=times, wave=wind())


if __name__ == "__main__":
    main()
