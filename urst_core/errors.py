"""Errors that a caller can act on: each message names the value, the rule and the remedy."""

from __future__ import annotations

from collections.abc import Iterable


class URSTError(Exception):
    """Base of every error that the engine raises on purpose.

    Example:
        >>> import urst_core as urst
        >>> try:
        ...     urst.load_backbone("starry-night")
        ... except urst.URSTError as error:
        ...     print(type(error).__name__)
        WeightsError
    """


class SettingsError(URSTError):
    """A setting is unknown, out of range, or contradicts another one."""


class ShapeError(URSTError):
    """A tensor or an image has a size that the operation cannot take."""


class ImageError(URSTError):
    """An image cannot be read, or its pixels cannot be used."""


class OutputError(URSTError):
    """The result cannot be written where or how it was asked for."""


class WeightsError(URSTError):
    """A weights file does not hold what the backbone needs."""


class DownloadError(WeightsError):
    """Weights could not be fetched from the hub, or published there."""


class StatsError(URSTError):
    """Statistics do not belong to the backbone they are used with."""


class DeviceError(URSTError):
    """A device or precision is unknown, absent, or too small."""


class TrainingError(URSTError):
    """Training cannot begin, or cannot go on."""


class ClusterError(URSTError):
    """A cluster cannot be reached, or its workers cannot do the work."""


def abbreviated(names: Iterable[str], most: int = 3) -> str:
    """The first few names for a message, and whether there are more."""
    names = list(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
