"""The raw file: pixels are read as written, also after a kill; other files are refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tifffile
import torch
from examples import load_picture, stored_picture

from urst_core.errors import OutputError, ShapeError
from urst_core.formats.work_file import WorkFile, raw_bytes
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource

ROOT = Path(__file__).parents[3]


def random_pixels(dtype, channels=3, size=(23, 37)):
    if dtype.is_floating_point:
        return torch.rand(channels, *size).to(dtype)
    return stored_picture(size, dtype, channels=channels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_rectangles_in_any_order(tmp_path, dtype, channels):
    like = TensorSource(random_pixels(dtype, channels))
    path = tmp_path / "work.raw"
    with WorkFile.create(path, like) as work:
        for rectangle in (
            Rectangle(10, 0, 23, 37),
            Rectangle(0, 30, 10, 37),
            Rectangle(0, 0, 10, 30),
        ):
            work.write(rectangle, like.read(rectangle))
        work.flush()
        assert torch.equal(work.read(Rectangle(3, 5, 20, 36)), like.pixels[:, 3:20, 5:36])
    assert raw_bytes(like) == 23 * 37 * channels * dtype.itemsize
    assert path.stat().st_size == work.pixels_offset + raw_bytes(like)
    expected = like.pixels.permute(1, 2, 0).contiguous().numpy()
    assert path.read_bytes()[work.pixels_offset :] == expected.tobytes()
    stored = tifffile.imread(path)
    assert stored.dtype == expected.dtype
    assert (stored == expected).all()
    with WorkFile.reopen(path, like) as work:
        assert torch.equal(work.read(Rectangle.of_size(like.size)), like.pixels)


def test_unwritten_parts_are_black(tmp_path):
    like = TensorSource(stored_picture((8, 8)))
    with WorkFile.create(tmp_path / "work.raw", like) as work:
        assert not work.read(Rectangle(0, 0, 8, 8)).any()


def test_creating_empties_the_file_there(tmp_path):
    like = TensorSource(stored_picture((8, 8)))
    path = tmp_path / "work.raw"
    path.write_bytes(b"\xff" * 9999)
    with WorkFile.create(path, like) as work:
        assert not work.read(Rectangle(0, 0, 8, 8)).any()
    assert path.stat().st_size == work.pixels_offset + 192


@pytest.mark.slow
def test_written_pixels_survive_a_kill(tmp_path):
    """SIGKILL leaves no time for anything; written rectangles are there all the same."""
    path = tmp_path / "work.raw"
    like = TensorSource(stored_picture((64, 48)))
    writer = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "support")!r}]
        from pathlib import Path
        from examples import stored_picture
        from urst_core.pictures.source import TensorSource
        from urst_core.geometry import Rectangle
        from urst_core.formats.work_file import WorkFile
        like = TensorSource(stored_picture((64, 48)))
        work = WorkFile.create(Path({str(path)!r}), like)
        rectangle = Rectangle(16, 8, 40, 48)
        work.write(rectangle, like.read(rectangle))
        print("written", flush=True)
        sys.stdin.read()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writer], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == b"written"
    process.kill()
    process.communicate()
    if os.name == "posix":
        assert process.returncode == -signal.SIGKILL
    with WorkFile.reopen(path, like) as work:
        written = Rectangle(16, 8, 40, 48)
        assert torch.equal(work.read(written), like.read(written))
        rest = Rectangle(0, 0, 16, 48)
        work.write(rest, like.read(rest))
        assert torch.equal(work.read(Rectangle(0, 8, 40, 48)), like.pixels[:, :40, 8:])


def test_a_file_of_another_picture(tmp_path):
    path = tmp_path / "work.raw"
    work = WorkFile.create(path, TensorSource(stored_picture((8, 8))))
    work.close()
    for size in ((8, 9), (4, 16)):
        with pytest.raises(OutputError) as caught:
            WorkFile.reopen(path, TensorSource(stored_picture(size)))
        needed = work.pixels_offset + 3 * size[0] * size[1]
        assert str(caught.value) == (
            f"work file {path} ({work.pixels_offset + 192} bytes) is not that of a picture of "
            f"{size[0]} x {size[1]} px with 3 channels of torch.uint8 ({needed} bytes); "
            "delete it and begin again"
        )


def test_rows_of_many_strips(tmp_path):
    """Wider than a strip, and several strips long: independent readers find every row."""
    for size in ((3, 400_000), (5000, 300)):
        like = TensorSource(torch.randint(0, 256, (3, *size), dtype=torch.uint8))
        with WorkFile.create(tmp_path / "work.raw", like) as work:
            work.write(Rectangle.of_size(size), like.pixels)
        expected = like.pixels.permute(1, 2, 0).numpy()
        with tifffile.TiffFile(work.path) as stored:
            assert len(stored.pages[0].dataoffsets) > 2
            assert (stored.asarray() == expected).all()
        assert torch.equal(load_picture(work.path), like.pixels)


@pytest.mark.parametrize("make", [WorkFile.create, WorkFile.reopen])
def test_a_file_that_cannot_be_opened(tmp_path, make):
    path = tmp_path / "absent" / "work.raw"
    with pytest.raises(OutputError) as caught:
        make(path, TensorSource(stored_picture((8, 8))))
    message = str(caught.value)
    assert message.startswith(f"work file {path} cannot be opened (")
    assert message.endswith("); choose another folder or name")


def test_values_that_no_file_stores(tmp_path):
    like = TensorSource(torch.zeros(3, 8, 8, dtype=torch.bfloat16))
    with pytest.raises(OutputError) as caught:
        WorkFile.create(tmp_path / "work.raw", like)
    assert str(caught.value) == (
        "torch.bfloat16 pixels cannot be stored in files; convert them to torch.uint8 or "
        "torch.uint16 or torch.float16 or torch.float32 or torch.float64"
    )
    assert not list(tmp_path.iterdir())


def test_pixels_that_do_not_fit(tmp_path):
    path = tmp_path / "work.raw"
    with WorkFile.create(path, TensorSource(stored_picture((8, 8)))) as work:
        for pixels in (stored_picture((4, 5)), stored_picture((4, 4), torch.uint16)):
            with pytest.raises(ShapeError) as caught:
                work.write(Rectangle(0, 0, 4, 4), pixels)
            assert str(caught.value) == (
                f"pixels of shape {tuple(pixels.shape)} and {pixels.dtype} do not fit {path}; "
                "pass (3, 4, 4) and torch.uint8"
            )
        for outside in (Rectangle(6, 0, 9, 4), Rectangle(0, -1, 4, 3), Rectangle(4, 4, 4, 4)):
            with pytest.raises(ShapeError) as caught:
                work.read(outside)
            assert str(caught.value) == (f"{outside} is not inside a picture of 8 x 8 px")


class Failing:
    """A file on a disk that fails."""

    def __init__(self, raw) -> None:
        self._raw = raw

    def __getattr__(self, name):
        return getattr(self._raw, name)

    def readinto(self, values):
        return len(values) // 2

    def write(self, values):
        return self._raw.write(values[: max(1, len(values) // 2)])


def test_a_disk_that_gives_or_takes_a_part_only(tmp_path):
    like = TensorSource(stored_picture((8, 8)))
    work = WorkFile.create(tmp_path / "work.raw", like)
    whole = Rectangle(0, 0, 8, 8)
    work._raw = Failing(work._raw)
    work.write(whole, like.pixels)
    with pytest.raises(OutputError) as caught:
        work.read(whole)
    assert str(caught.value).startswith(f"reading work file {work.path} failed (")
    work.close()
    with WorkFile.reopen(work.path, like) as again:
        assert torch.equal(again.read(whole), like.pixels)


def test_a_disk_that_cannot_flush(tmp_path, monkeypatch):
    def fail(_handle):
        raise OSError(5, "Input/output error")

    with WorkFile.create(tmp_path / "work.raw", TensorSource(stored_picture((8, 8)))) as work:
        monkeypatch.setattr(os, "fdatasync" if hasattr(os, "fdatasync") else "fsync", fail)
        with pytest.raises(OutputError) as caught:
            work.flush()
    assert str(caught.value) == (
        f"writing work file {work.path} failed ([Errno 5] Input/output error); free disk space"
    )
