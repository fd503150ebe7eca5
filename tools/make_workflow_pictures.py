"""Draw workflows/*.jpg, the pictures in ComfyUI's template browser, without ComfyUI.

    python tools/make_workflow_pictures.py [NAME ...]     NAME as in template_names.py

Each has 512 x 512 px and shows what its workflow makes of the pictures that it begins with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT), str(ROOT / "tests" / "support")]

from small_jpeg import small_jpeg  # noqa: E402
from template_names import TEMPLATES  # noqa: E402
from workflow_results import RESULTS, read_frames, read_picture  # noqa: E402

EDGE, GAP = 512, 4
LARGEST_FILE = 79_000


def sample(name: str) -> np.ndarray:
    return read_picture(ROOT / "sample_pictures" / f"urst_{name}.jpg")


def enlarged(pictures: np.ndarray) -> np.ndarray:
    """Enlarged four times, in place of an upscale model, which the pack does not have."""
    images = [image_of(each) for each in pictures]
    larger = [i.resize((4 * i.width, 4 * i.height), Image.Resampling.LANCZOS) for i in images]
    return np.stack([np.asarray(each, np.float32) / 255 for each in larger])


def image_of(picture: np.ndarray) -> Image.Image:
    return Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8))


def results_of(name: str) -> list[np.ndarray]:
    """What the workflow makes of the pictures that it begins with."""
    painting, other = sample("painting"), sample("painting_2")
    clip = ROOT / "sample_pictures" / "urst_clip.mp4"
    pictures = {
        "clip": clip,
        "frames": lambda: read_frames(clip).astype(np.float32) / 255,
        "content": sample("photograph"),
        "style": painting,
        "style inside": painting,
        "style outside": other,
    }
    batches = RESULTS[name](pictures, enlarged).values()
    return [picture for batch in batches for picture in batch]


def square(picture: np.ndarray, edge: int) -> Image.Image:
    """The middle of a picture."""
    return ImageOps.fit(image_of(picture), (edge, edge), Image.Resampling.LANCZOS)


def preview(name: str) -> Image.Image:
    """The result of a workflow, or four of its results in two rows."""
    results = results_of(name)
    if len(results) == 1:
        return square(results[0], EDGE)
    edge = (EDGE - GAP) // 2
    sheet = Image.new("RGB", (EDGE, EDGE), "white")
    for number, result in enumerate(results[:: len(results) // 4][:4]):
        row, column = divmod(number, 2)
        sheet.paste(square(result, edge), (column * (edge + GAP), row * (edge + GAP)))
    return sheet


def main() -> None:
    for name in sys.argv[1:] or RESULTS:
        path = ROOT / "workflows" / f"{TEMPLATES[name]}.jpg"
        path.write_bytes(small_jpeg(preview(name), LARGEST_FILE))


if __name__ == "__main__":
    main()
