"""Standard output or error that is closed, full, without a reader, or limited to ASCII."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from examples import load_picture, save_picture, stored_picture

import urst_core
from urst_core.cli import console
from urst_core.cli.bars import Bar, ProgressBar, warn_above_bar
from urst_core.errors import OutputError
from urst_core.progress import Progress

ROOT = Path(urst_core.__file__).parents[1]
STYLIZE = "stylize content.png style.png -o out.png --device cpu --thumbnail-size 48"


# Real processes


@pytest.fixture
def folder(tmp_path):
    save_picture(tmp_path / "content.png", stored_picture((64, 72)))
    save_picture(tmp_path / "style.png", stored_picture((48, 40), seed=3))
    return tmp_path


def shell(folder: Path, command: str, **environment: str) -> tuple[list[int], str]:
    """Exit codes and output of a shell command."""
    done = subprocess.run(
        ["bash", "-c", f"{command}; echo ${{PIPESTATUS[@]}} > codes"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    codes = [int(code) for code in (folder / "codes").read_text().split()]
    return codes, done.stdout.decode()


URST = f"{sys.executable} -m urst_core"
unix = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")


@unix
@pytest.mark.slow
def test_a_reader_that_leaves(folder):
    """As head and less do; gone before the first line, so that no timing decides."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-m", "urst_core", "weights", "list"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (console.READER_GONE, b"")


@unix
@pytest.mark.slow
def test_a_full_output(folder):
    codes, said = shell(folder, f"{URST} weights list > /dev/full")
    assert codes == [1]
    assert said == (
        "urst: standard output cannot be written to ([Errno 28] No space left on device); "
        "send it elsewhere\n"
    )


@unix
@pytest.mark.slow
@pytest.mark.parametrize("streams", ["2>&-", "> /dev/full 2> /dev/full", "<&- >&- 2>&-"])
def test_work_completes_without_an_output_stream(folder, streams):
    codes, said = shell(folder, f"{URST} {STYLIZE} {streams}")
    assert codes == [0]
    assert "Traceback" not in said
    assert load_picture(folder / "out.png").shape == (3, 64, 72)
    assert sorted(os.listdir(folder)) == ["codes", "content.png", "out.png", "style.png"]


@unix
@pytest.mark.slow
def test_names_that_the_terminal_cannot_show(folder):
    (folder / "content.png").rename(folder / "富士山.png")
    command = STYLIZE.replace("content.png", "富士山.png").replace("out.png", "絵.png")
    codes, said = shell(folder, f"{URST} {command}", PYTHONIOENCODING="ascii")
    assert codes == [0]
    assert "\\u7d75.png: 72 x 64 px" in said
    assert "Traceback" not in said
    assert (folder / "絵.png").exists()


# In this one


class Broken(io.TextIOBase):
    """A stream that fails at every word."""

    def __init__(self, error: Exception) -> None:
        self.error, self.count = error, 0

    def write(self, _text: str) -> None:
        self.count += 1
        raise self.error

    def flush(self) -> None:
        raise self.error


ERRORS = [
    OSError(28, "No space left on device"),
    BrokenPipeError(32, "Broken pipe"),
    ValueError("I/O operation on closed file"),
    UnicodeEncodeError("ascii", "█", 0, 1, "ordinal not in range"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_bar_that_cannot_be_drawn_is_given_up(monkeypatch, error):
    stream = Broken(error)
    monkeypatch.setattr(sys, "stderr", stream)
    with ProgressBar() as bar:
        for number in range(4):
            bar.update(Progress("tiles", number, 4, number, 4))
    bar = Bar(total=4)
    bar.show(4)
    bar.close()
    warn_above_bar("a grid is missing")
    console.warn("a grid is missing")
    console.flush()
    assert stream.count > 0


def test_a_bar_that_fails_halfway(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = Bar(total=4, mininterval=0)
    bar.show(1)
    before = stream.getvalue()
    monkeypatch.setattr(stream, "write", Broken(ERRORS[0]).write)
    for number in range(2, 5):
        bar.show(number)
    bar.close()
    assert "25%" in before
    assert stream.getvalue() == before


def test_no_stream_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    with ProgressBar() as bar:
        bar.update(Progress("tiles", 1, 4, 1, 4))
    warn_above_bar("a grid is missing")
    console.say("done")
    console.put("done")
    console.flush()


@pytest.mark.parametrize("error", [ERRORS[0], ERRORS[2]], ids=["full", "closed"])
def test_output_that_was_asked_for_is_missed(monkeypatch, error):
    monkeypatch.setattr(sys, "stdout", Broken(error))
    with pytest.raises(OutputError) as caught:
        console.put("what there is")
    assert str(caught.value) == (
        f"standard output cannot be written to ({error}); send it elsewhere"
    )
    console.say("done")


def test_output_without_a_reader(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken(ERRORS[1]))
    with pytest.raises(SystemExit) as caught:
        console.put("what there is")
    assert caught.value.code == 141
