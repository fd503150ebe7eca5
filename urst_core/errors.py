"""Errors that a caller can act on: each names the value and the rule, and carries the remedies.

A remedy that is the same for everyone is a phrase. One that changes a setting is a :class:`Change`,
because a command line, a node and a program have different names for it; commands are a
:class:`Command` or an :class:`Install`, because not every place has the same::

    raise OutputError(f"{path} exists", "choose another name", Change("overwrite", True))

    str(error)       out.png exists; choose another name, or pass overwrite=True
    command line     out.png exists; choose another name, or replace it with --overwrite
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Change:
    """A setting whose change would help.

    Attributes:
        setting: its name in the library.
        value: what would help; None where the user has to decide.
        how: what to do with the setting where there is no value: a verb, or a few words that end
            with its name.
    """

    setting: str
    value: object = None
    how: str = "change"

    def __str__(self) -> str:
        """The words for someone who calls the library."""
        if self.value is None:
            return f"{self.how} {self.setting}"
        return f"pass {self.setting}={self.value!r}"


@dataclass(frozen=True)
class Command:
    """A command of the command line that would help.

    Attributes:
        line: the command, as in ``urst weights get NAME``.
        how: what to do with it: words that end with the command.
    """

    line: str
    how: str = "run"

    def __str__(self) -> str:
        """The words for someone who installed the package."""
        return f"{self.how} '{self.line}'"


@dataclass(frozen=True)
class Install:
    """Packages of Python whose installation would help.

    Attributes:
        packages: as a shell passes them to pip: ``"pyvips[binary]"``, quotes included.
        how: words that end with the command, if any are needed.
    """

    packages: str
    how: str = ""

    def with_pip(self, pip: str) -> str:
        """The whole remedy, with a command that starts pip."""
        return f"{self.how} {pip} install {self.packages}".lstrip()

    def __str__(self) -> str:
        """The words for someone whose shell has the Python that runs this."""
        return self.with_pip("pip")


Reworded: TypeAlias = "Change | Command | Install"
"""Remedies that each place words for itself."""

Remedy: TypeAlias = "str | Reworded"
"""What would help; a phrase is the same everywhere."""


class URSTError(Exception):
    """Base of every error that the engine raises on purpose.

    Each class also derives from the built-in exception that fits, so that a program can catch
    ``OSError`` or ``ValueError`` as it does elsewhere.

    Args:
        message: the value and the rule.
        remedies: what would help.

    Attributes:
        message: without the remedies.
        remedies: as given.

    Example:
        >>> import urst_core as urst
        >>> try:
        ...     urst.load_backbone("starry-night")
        ... except urst.URSTError as error:
        ...     print(type(error).__name__)
        WeightsError
        >>> error = OutputError("out.png exists", Change("overwrite", True))
        >>> error.setting
        'overwrite'
        >>> str(error)
        'out.png exists; pass overwrite=True'
    """

    def __init__(self, message: str, *remedies: Remedy) -> None:
        # The message alone: OSError would take a second argument for that of an error number.
        super().__init__(message)
        self.message = message
        self.remedies = remedies

    @property
    def setting(self) -> str | None:
        """The first setting whose change would help; None where there is none."""
        return next((r.setting for r in self.remedies if isinstance(r, Change)), None)

    def worded(self, words: Callable[[Reworded], str]) -> str:
        """The whole message, with the caller's words for settings and commands."""
        remedies = [r if isinstance(r, str) else words(r) for r in self.remedies]
        return "; ".join(filter(None, [self.message, ", or ".join(remedies)]))

    def __str__(self) -> str:
        return self.worded(str)


class SettingsError(URSTError, ValueError):
    """A setting is unknown, out of range, or contradicts another one."""


class ShapeError(URSTError, ValueError):
    """A tensor or an image has a size that the operation cannot take."""


class ImageError(URSTError, OSError):
    """An image cannot be read, or its pixels cannot be used."""


class OutputError(URSTError, OSError):
    """The result cannot be written where or how it was asked for."""


class WeightsError(URSTError, ValueError):
    """A weights file does not have the tensors that the backbone needs."""


class DownloadError(WeightsError, ConnectionError):
    """Weights could not be fetched from the hub, or published there."""


class StatsError(URSTError, ValueError):
    """Statistics do not belong to the backbone they are used with."""


class DeviceError(URSTError, RuntimeError):
    """A device or precision is unknown, absent, or too small."""


class TrainingError(URSTError, RuntimeError):
    """Training cannot begin or continue."""


class ClusterError(URSTError, RuntimeError):
    """A cluster cannot be reached, or its workers cannot do the work."""


def abbreviated(names: Iterable[str], most: int = 3) -> str:
    """The first few names for a message, and whether there are more."""
    names = list(names)
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def first_line(error: BaseException) -> str:
    """The first line that an error says, or its class where it is silent.

    For libraries that explain at length below: storage, PyTorch, the hub.
    """
    return next(_lines(error), type(error).__name__)


def last_line(error: BaseException) -> str:
    """The line of an error that says why, among many that say where; its class where it is silent.

    Libraries put the cause last: libvips below each operation, Ray below a traceback.
    """
    return [type(error).__name__, *_lines(error)][-1]


def _lines(error: BaseException) -> Iterator[str]:
    return (line.strip() for line in str(error).splitlines() if line.strip())
