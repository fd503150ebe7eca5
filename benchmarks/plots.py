"""Curves of measured points, as a picture."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

Curves = dict[str, list[tuple[float, float]]]
"""Points, x and y, by name of the curve."""


def plot_against_megapixels(
    curves: Curves, label: str, path: Path, dashed: Collection[str] = ()
) -> None:
    """Save curves over a logarithmic axis of megapixels.

    Args:
        curves: megapixels and measured values.
        label: name of the measured value, with its unit.
        path: of the PNG file.
        dashed: names of curves that are dashed, each in the color of the one before it.
    """
    import matplotlib as mpl  # noqa: PLC0415 - optional

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    figure, axes = pyplot.subplots(figsize=(6, 4))
    colors = mpl.colormaps["tab10" if len(curves) - len(dashed) <= 10 else "tab20"]
    axes.set_prop_cycle(color=colors(range(colors.N)))
    for name, points in curves.items():
        color = axes.lines[-1].get_color() if name in dashed else None
        axes.plot(*zip(*points), "o--" if name in dashed else "o-", color=color, label=name)
    highest = max(y for points in curves.values() for _, y in points)
    axes.set(xlabel="megapixels", ylabel=label, ylim=(0, 1.1 * highest), xscale="log")
    places = sorted({x for points in curves.values() for x, _ in points})
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.set_xticks([], minor=True)
    axes.legend(loc="best" if dashed else "center right", fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
