"""Names of the templates, which are those of their files and all that ComfyUI shows and searches.

Each begins with what one would search for, and is a sentence's worth of words: the page's search
takes whole words, and refuses to work where two packs have templates of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping

TEMPLATES: Mapping[str, str] = {
    workflow: f"Style transfer - {name}"
    for workflow, name in {
        "quick_start": "quick start",
        "five_nodes": "step by step",
        "strokes_by_hand": "large strokes by hand",
        "hundred_megapixels": "huge pictures, file to file",
        "upscale_then_stylize": "upscale, then stylize",
        "stylize_then_upscale": "stylize, then upscale",
        "regions_with_masks": "a style for each region",
        "video_shared_statistics": "video without flicker",
        "video_file": "long videos, file to file",
        "compare_backbones": "compare side by side",
    }.items()
}
"""By the names of workflows, without the ending of a file."""
