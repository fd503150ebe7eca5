"""Published layouts of each backbone's weights: their files and names.

Keys and shapes are the network's own. Layouts add how they are divided into files, which were
renamed, and which are superfluous and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """What one published file holds.

    Attributes:
        prefix: of its keys in the network; none where one file holds everything.
        title: what it is called in messages.
        file_word: in the name of its file, where another part has equal keys.
    """

    prefix: str
    title: str
    file_word: str = ""


@dataclass(frozen=True)
class Layout:
    """The published files of one backbone.

    Attributes:
        parts: one for each file.
        renamed: patterns in published keys and what takes their place.
        surplus: patterns of keys, prefix included, that the network does not use, and the reason.
        plain_norms: whether published files may lack the scale and shift of all normalizations,
            which the published code leaves at 1 and 0 then.
    """

    parts: tuple[Part, ...] = (Part("", "network"),)
    renamed: tuple[tuple[str, str], ...] = ()
    surplus: tuple[tuple[str, str], ...] = ()
    plain_norms: bool = False


RUNNING_STATISTICS = (
    r"(^|\.)(running_mean|running_var|num_batches_tracked)$",
    "statistics of the training, which no instance normalization uses",
)
"""Surplus in every layout: old versions of PyTorch stored them."""

LEVELS = (5, 4, 3, 2, 1)

_LINEAR = Layout((Part("vgg.", "encoder"), Part("decoder.", "decoder"), Part("matrix.", "matrix")))

LAYOUTS: Mapping[str, Layout] = {
    "microast": Layout(
        (
            Part("content_encoder.", "content encoder", file_word="content"),
            Part("style_encoder.", "style encoder", file_word="style"),
            Part("modulator.", "modulator"),
            Part("decoder.", "decoder"),
        )
    ),
    "adain": Layout(
        (Part("vgg.", "encoder"), Part("decoder.", "decoder")),
        surplus=((r"^vgg\.(3[1-9]|4\d|5[0-2])\.", "layers behind relu4_1, where AdaIN stops"),),
    ),
    "linear_r31": _LINEAR,
    "linear_r41": _LINEAR,
    # URST's rename.py puts each normalization one module deeper.
    "johnson": Layout(renamed=((r"\.norm\.norm\.", ".norm."),)),
    "johnson_examples": Layout(),
    "msgnet": Layout(
        surplus=((r"^(model1|ins)\.", "a second copy of the same layers' weights"),),
        plain_norms=True,
    ),
    "multimodal": Layout(
        (
            Part("style_subnet.", "style subnet"),
            Part("enhance_subnet.", "enhance subnet"),
            Part("refine_subnet.", "refine subnet"),
        ),
        renamed=((r"\.scale$", ".weight"), (r"\.shift$", ".bias")),
    ),
    "wct": Layout(
        tuple(
            part
            for level in LEVELS
            for part in (
                Part(f"vgg{level}.", f"encoder of level {level}"),
                Part(f"decoder{level}.", f"decoder of level {level}"),
            )
        )
    ),
    "cd16x": Layout(
        tuple(
            part
            for level in LEVELS
            for part in (
                Part(f"{level}SE.", f"encoder of level {level}"),
                Part(f"{level}SD.", f"decoder of level {level}"),
            )
        ),
        surplus=((r"\.(conv\d1_aux|aux\d1)\.", "layers that only the distillation used"),),
    ),
    "cin": Layout(),
}
"""By backbone; one that is not here has one file, under the network's own names."""


def layout_of(backbone: str) -> Layout:
    return LAYOUTS.get(backbone, Layout())
