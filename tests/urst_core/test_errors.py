"""Errors: built-in bases, remedies as data, and their wording for each audience."""

import copy
import pickle

import pytest

from urst_core import errors
from urst_core.cli.remedies import error_words
from urst_core.errors import Change, Command, Install, OutputError, URSTError, first_line, last_line

BASES = {
    "SettingsError": ValueError,
    "ShapeError": ValueError,
    "ImageError": OSError,
    "OutputError": OSError,
    "WeightsError": ValueError,
    "DownloadError": ConnectionError,
    "StatsError": ValueError,
    "DeviceError": RuntimeError,
    "TrainingError": RuntimeError,
    "ClusterError": RuntimeError,
}
CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, URSTError) and value is not URSTError
]


def test_every_error_is_a_built_in_one_too():
    assert {kind.__name__ for kind in CLASSES} == set(BASES)
    for kind in CLASSES:
        assert issubclass(kind, BASES[kind.__name__])


@pytest.mark.parametrize("kind", CLASSES)
def test_errors_survive_pickling(kind):
    """OSError, for one, makes an error number of a first of several arguments."""
    error = kind("core 164 is too large", "use 160", Change("tile_size", 160))
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(copied) is kind
        assert str(copied) == "core 164 is too large; use 160, or pass tile_size=160"
        assert copied.remedies == error.remedies
        assert copied.setting == "tile_size"
        assert copied.args == ("core 164 is too large",)


def test_an_error_without_a_remedy():
    error = OutputError("the disk is gone")
    assert str(error) == error_words(error) == "the disk is gone"
    assert error.setting is None


@pytest.mark.parametrize(
    ("remedy", "library", "command_line"),
    [
        ("choose another name", "choose another name", "choose another name"),
        (Change("overwrite", True), "pass overwrite=True", "replace it with --overwrite"),
        (Change("tile_size", 512), "pass tile_size=512", "use --tile-size 512"),
        (Change("style_size", how="lower"), "lower style_size", "lower --style-size"),
        (Change("workers", how="lower"), "lower workers", "lower --ray-workers"),
        (Change("stats"), "change stats", "change --stats"),
        (Change("precision", "fp32"), "pass precision='fp32'", "use --precision fp32"),
        (Change("resume", True), "pass resume=True", "resume with --resume"),
        (Change("resume", False), "pass resume=False", "leave --resume out to begin"),
        (
            Change("if_interrupted", "resume"),
            "pass if_interrupted='resume'",
            "resume it with --resume",
        ),
        (
            Change("if_interrupted", "restart"),
            "pass if_interrupted='restart'",
            "discard it with --restart",
        ),
        (
            Command("urst weights list", how="see"),
            "see 'urst weights list'",
            "see 'urst weights list'",
        ),
        (
            Install('"pyvips[binary]"'),
            'pip install "pyvips[binary]"',
            'pip install "pyvips[binary]"',
        ),
    ],
    ids=str,
)
def test_words(remedy, library, command_line):
    error = OutputError("no", remedy)
    assert str(error) == f"no; {library}"
    assert error_words(error) == f"no; {command_line}"


def test_the_lines_of_an_error():
    error = ValueError("\n  Traceback\n\n  at a \n why  \n")
    assert first_line(error) == "Traceback"
    assert last_line(error) == "why"
    assert first_line(ValueError(" \n")) == last_line(ValueError()) == "ValueError"
