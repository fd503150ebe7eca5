"""Draw workflows/*.jpg, the pictures in ComfyUI's template browser, without ComfyUI.

    python tools/make_workflow_pictures.py [NAME ...]

Each has 512 x 512 px and shows the result of its workflow for the demo's landscape and painting.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests" / "support")]

from small_jpeg import small_jpeg  # noqa: E402
from workflow_results import stylized  # noqa: E402

from urst_core.demo import DemoLandscape, demo_painting  # noqa: E402
from urst_core.geometry import Rectangle  # noqa: E402

EDGE, HALF, QUARTER = 512, 256, 128
LARGEST_FILE = 79_000


def landscape(edge: int) -> np.ndarray:
    pixels = DemoLandscape((edge, edge)).read(Rectangle(0, 0, edge, edge))
    return pixels.permute(1, 2, 0).numpy().astype(np.float32) / 255


def painting() -> np.ndarray:
    return demo_painting((EDGE, EDGE)).permute(1, 2, 0).numpy().astype(np.float32) / 255


def other_painting() -> np.ndarray:
    """The painting with its channels rotated: red becomes green, green blue, and blue red."""
    return np.roll(painting(), 1, axis=-1)


def painted(content: np.ndarray, style: np.ndarray | None = None, **settings: object) -> np.ndarray:
    return stylized(content[None], painting() if style is None else style, **settings)[0]


def resized(picture: np.ndarray, edge: int) -> np.ndarray:
    pixels = Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))
    return np.asarray(pixels.resize((edge, edge), Image.Resampling.LANCZOS), np.float32) / 255


def inset(picture: np.ndarray, small: np.ndarray) -> np.ndarray:
    """A picture with a smaller one, framed in white, in its lower left corner."""
    result, edge, margin = picture.copy(), len(small), 12
    top = EDGE - edge - margin
    result[top - 4 : top + edge + 4, margin - 4 : margin + edge + 4] = 1
    result[top : top + edge, margin : margin + edge] = small
    return result


def quick_start() -> np.ndarray:
    """The photograph on the left, the painting on the right."""
    content = landscape(EDGE)
    result = painted(content)
    result[:, :HALF] = content[:, :HALF]
    result[:, HALF - 2 : HALF + 2] = 1
    return result


def five_nodes() -> np.ndarray:
    """A picture whose first ten tiles are finished."""
    content = landscape(EDGE)
    result = painted(content)
    for number in range(16):
        top, left = (number // 4) * QUARTER, (number % 4) * QUARTER
        tile = np.s_[top : top + QUARTER, left : left + QUARTER]
        if number >= 10:
            result[tile] = content[tile]
        result[top : top + QUARTER, left : left + 2] = 1
        result[top : top + 2, left : left + QUARTER] = 1
    return result


def strokes_by_hand() -> np.ndarray:
    """The finished painting, and the small one on which it is based."""
    content = landscape(2 * EDGE)
    result = painted(content, strokes=4.0)
    return inset(resized(result, EDGE), resized(painted(resized(content, HALF)), HALF // 2))


def hundred_megapixels() -> np.ndarray:
    """The whole picture, and a part of it at full size."""
    result = painted(landscape(4 * EDGE), tile_size=EDGE)
    return inset(resized(result, EDGE), result[900 : 900 + 240, 1000 : 1000 + 240])


def upscale_then_stylize() -> np.ndarray:
    """Strokes on a larger picture, and the small photograph."""
    result = painted(landscape(2 * EDGE))
    return inset(result[HALF : HALF + EDGE, HALF : HALF + EDGE], landscape(QUARTER))


def stylize_then_upscale() -> np.ndarray:
    """Large strokes, and the small painting before enlarging."""
    small = painted(landscape(EDGE))
    whole = resized(small, 2 * EDGE)
    return inset(whole[HALF : HALF + EDGE, HALF : HALF + EDGE], resized(small, QUARTER))


def regions_with_masks() -> np.ndarray:
    content = landscape(EDGE)
    horizon = int(0.58 * EDGE)
    result = painted(content, other_painting())
    result[:horizon] = painted(content)[:horizon]
    return result


def video_shared_statistics() -> np.ndarray:
    """Four frames."""
    content = landscape(HALF + QUARTER)
    frames = [content[QUARTER:, step : step + HALF - 4] for step in (0, 40, 80, 120)]
    return four(list(stylized(np.stack(frames)[:, 4:], painting(), batch_statistics="shared")))


def compare_backbones() -> np.ndarray:
    content = landscape(HALF - 4)
    lanes = ({}, {"style_size": 160}, {"strength": 0.5}, {"thumbnail_size": 96})
    return four([painted(content, **settings) for settings in lanes])


def four(pictures: list[np.ndarray]) -> np.ndarray:
    """Arrange four pictures of 252 x 252 px in two rows, with white between them."""
    result = np.ones((EDGE, EDGE, 3), np.float32)
    for number, picture in enumerate(pictures):
        top, left = (number // 2) * (HALF + 4), (number % 2) * (HALF + 4)
        result[top : top + HALF - 4, left : left + HALF - 4] = picture
    return result


PICTURES: Mapping[str, Callable[[], np.ndarray]] = {
    function.__name__: function
    for function in (
        quick_start,
        five_nodes,
        strokes_by_hand,
        hundred_megapixels,
        upscale_then_stylize,
        stylize_then_upscale,
        regions_with_masks,
        video_shared_statistics,
        compare_backbones,
    )
}


def main() -> None:
    for name in sys.argv[1:] or PICTURES:
        pixels = (PICTURES[name]().clip(0, 1) * 255).round().astype(np.uint8)
        path = ROOT / "workflows" / f"{name}.jpg"
        path.write_bytes(small_jpeg(Image.fromarray(pixels), LARGEST_FILE))


if __name__ == "__main__":
    main()
