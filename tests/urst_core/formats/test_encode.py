"""Encoding of work files: atomic, with options, in little memory, releasing files."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from examples import load_picture, stored_picture
from PIL import Image

from urst_core.errors import OutputError
from urst_core.formats import vips_formats
from urst_core.formats.encode import encode, is_partial_name
from urst_core.formats.open import ImageFile, ImageFileCanvas, check_output, copy_picture
from urst_core.formats.output_format import STORED_TILE_SIZE
from urst_core.formats.output_options import OutputOptions
from urst_core.formats.vips import can_save
from urst_core.formats.work_file import WorkFile
from urst_core.geometry import Rectangle
from urst_core.pictures.source import TensorSource

ROOT = Path(__file__).parents[3]
SOURCE = TensorSource(stored_picture((150, 210)))


@pytest.fixture
def work_file(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    with WorkFile.create(folder / "tiles.raw", SOURCE) as work:
        work.write(Rectangle.of_size(SOURCE.size), SOURCE.pixels)
    return work.path


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("ending", [".png", ".tif", ".jpg", ".webp", ".npy", ".dzi"])
def test_the_work_file_stays_and_can_be_encoded_again(work_file, results, ending):
    before = work_file.read_bytes()
    path = results / f"result{ending}"
    contents = []
    for _ in range(2):
        encode(work_file, path, SOURCE)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert work_file.read_bytes() == before
    assert os.listdir(work_file.parent) == ["tiles.raw"]
    assert sorted(os.listdir(results)) == sorted(
        ["result.dzi", "result_files"] if ending == ".dzi" else [path.name]
    )


@pytest.mark.parametrize("ending", [".avif", ".webp", ".jpg"])
def test_lossy_formats_are_near(work_file, results, ending):
    path = results / f"result{ending}"
    encode(work_file, path, SOURCE, OutputOptions(quality=100))
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB")).astype(int)
    expected = SOURCE.pixels.permute(1, 2, 0).numpy().astype(int)
    assert np.abs(stored - expected).mean() < (20 if ending == ".webp" else 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compression", "name"), [("deflate", "ADOBE_DEFLATE"), ("lzw", "LZW"), ("none", "NONE")]
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_tiff_as_asked(tmp_path, compression, name, dtype):
    source = TensorSource(stored_picture((300, 410), dtype, channels=4))
    path = tmp_path / "result.tif"
    options = OutputOptions(compression=compression, pyramid=True, stored_tile_size=64)
    with ImageFileCanvas(path, source, options) as canvas:
        copy_picture(source, canvas)
    with tifffile.TiffFile(path) as stored:
        assert stored.is_bigtiff
        shapes = [page.shape for page in stored.pages]
        assert shapes == [(300, 410, 4), (150, 205, 4), (75, 102, 4), (37, 51, 4)]
        page = stored.pages[0]
        assert (page.compression.name, page.tilelength, page.tilewidth) == (name, 64, 64)
        if compression != "lzw":  # for which tifffile wants another library
            assert torch.equal(torch.from_numpy(page.asarray()).permute(2, 0, 1), source.pixels)
    assert torch.equal(load_picture(path), source.pixels)


def test_default_tiff(work_file, results):
    encode(work_file, results / "result.tif", SOURCE)
    with tifffile.TiffFile(results / "result.tif") as stored:
        assert stored.is_bigtiff
        assert len(stored.pages) == 1
        page = stored.pages[0]
        assert page.compression.name == "ADOBE_DEFLATE"
        assert (page.tilelength, page.tilewidth) == (STORED_TILE_SIZE, STORED_TILE_SIZE)


def test_zstd_is_written_or_refused_before_any_work(tmp_path):
    path, options = tmp_path / "result.tif", OutputOptions(compression="zstd")
    if can_save(".tif", {"compression": "zstd"}):
        with ImageFileCanvas(path, SOURCE, options) as canvas:
            copy_picture(SOURCE, canvas)
        assert torch.equal(load_picture(path), SOURCE.pixels)
        return
    with pytest.raises(OutputError) as caught:
        ImageFileCanvas(path, SOURCE, options)
    assert str(caught.value) == (
        f"{path}: this build of libvips writes no zstd into TIFF; use deflate or lzw, "
        "or use a libvips of conda-forge or the system with pip install pyvips"
    )
    assert os.listdir(tmp_path) == []


def test_a_build_without_avif(tmp_path, monkeypatch):
    monkeypatch.setattr(vips_formats, "can_save", lambda _ending, _arguments: False)
    path = tmp_path / "result.avif"
    with pytest.raises(OutputError) as caught:
        check_output(path, SOURCE)
    assert str(caught.value) == (
        f"{path}: this build of libvips writes no AVIF; use .webp, or "
        'pip install --upgrade "pyvips[binary]"'
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_numpy_file(tmp_path, dtype, channels):
    pixels = stored_picture((23, 31), channels=channels)
    pixels = (pixels / 255).to(dtype) if dtype.is_floating_point else pixels.to(dtype)
    with ImageFileCanvas(tmp_path / "result.npy", TensorSource(pixels)) as canvas:
        copy_picture(TensorSource(pixels), canvas, band=5)
    stored = np.load(tmp_path / "result.npy")
    assert stored.shape == (23, 31, channels)
    assert torch.equal(torch.from_numpy(stored).permute(2, 0, 1), pixels)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".png", ".tif", ".npy", ".dzi"])
def test_progress_from_start_to_end(tmp_path, ending):
    like = TensorSource(torch.zeros(3, 3000, 3000, dtype=torch.uint8))
    WorkFile.create(tmp_path / "tiles.raw", like).close()
    shares = []
    encode(tmp_path / "tiles.raw", tmp_path / f"result{ending}", like, listener=shares.append)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert len(set(shares)) > 2


@pytest.mark.parametrize("ending", [".png", ".tif", ".webp", ".npy", ".dzi"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("first", [0.0, 1e-9, 1.0])
def test_an_exception_in_the_listener_ends_encoding(work_file, results, ending, error, first):
    path = results / f"result{ending}"

    def stop(share):
        if share >= first:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        encode(work_file, path, SOURCE, listener=stop)
    assert os.listdir(results) == []
    assert os.listdir(work_file.parent) == ["tiles.raw"]


def test_the_result_grows_where_asked(work_file, results):
    seen = []

    def look(_share):
        seen.append((os.listdir(results), sorted(os.listdir(work_file.parent))))

    encode(
        work_file,
        results / "result.dzi",
        SOURCE,
        partial_folder=work_file.parent,
        listener=look,
    )
    in_results, (partial, work_name) = seen[1]
    assert (in_results, work_name) == ([], "tiles.raw")
    assert is_partial_name(partial)
    assert sorted(os.listdir(results)) == ["result.dzi", "result_files"]
    assert os.listdir(work_file.parent) == ["tiles.raw"]


@pytest.mark.parametrize("ending", [".png", ".tif", ".npy"])
def test_a_link_is_followed(work_file, results, ending):
    """What the name points to is replaced; the link stays one, also where it points to nothing."""
    elsewhere = results / "elsewhere"
    elsewhere.mkdir()
    link = results / f"link{ending}"
    link.symlink_to(elsewhere / f"real{ending}")
    for _ in range(2):
        check_output(link, SOURCE, overwrite=True)
        encode(work_file, link, SOURCE)
        assert link.is_symlink()
        assert os.listdir(elsewhere) == [f"real{ending}"]
        assert not (elsewhere / f"real{ending}").is_symlink()


@pytest.mark.parametrize("name", ["Gemälde, 絵.png", "x" * 251 + ".png", "ж" * 125 + ".npy"])
def test_names_in_other_scripts_and_long_ones(tmp_path, name):
    path = tmp_path / name
    with ImageFileCanvas(path, SOURCE) as canvas:
        copy_picture(SOURCE, canvas)
    assert os.listdir(tmp_path) == [name]
    if path.suffix == ".png":
        assert torch.equal(load_picture(path), SOURCE.pixels)
        assert ImageFile(path).size == SOURCE.size


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_file_stays_open(work_file, results):
    def ours():
        handles = [handle for handle in range(256) if Path(f"/proc/self/fd/{handle}").is_symlink()]
        names = [os.readlink(f"/proc/self/fd/{handle}") for handle in handles]
        return [name for name in names if str(results.parent) in name]

    for ending in (".tif", ".png", ".jpg", ".webp", ".npy", ".dzi"):
        path = results / f"result{ending}"
        encode(work_file, path, SOURCE)
        assert ours() == []
        if ending in (".tif", ".png", ".jpg", ".webp"):
            with ImageFile(path) as source:
                source.read(Rectangle(3, 4, 50, 60))
            assert ours() == []


ANOTHER_PROCESS = """
import resource, sys
sys.path[:0] = [{root!r}]
from pathlib import Path
import pyvips
import torch
from urst_core.formats.encode import encode
from urst_core.pictures.source import TensorSource
from urst_core.errors import OutputError
from urst_core.geometry import Rectangle
from urst_core.formats.work_file import WorkFile

class Large:
    size, channels, dtype = (8000, 8000), 3, torch.uint8

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

WorkFile.create(Path("large.raw"), Large).close()
pyvips.Image.black(64, 64).write_to_buffer(".tif")
before = peak()
encode(Path("large.raw"), Path("large.tif"), Large)
print((peak() - before) // 1024)

source = TensorSource(torch.randint(0, 256, (3, 600, 700), dtype=torch.uint8))
with WorkFile.create(Path("tiles.raw"), source) as work:
    work.write(Rectangle(0, 0, 600, 700), source.pixels)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
for ending in {endings!r}:
    try:
        encode(Path("tiles.raw"), Path("result" + ending), source)
    except OutputError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_memory_and_a_disk_that_takes_no_more(tmp_path):
    """192 MB of pixels take a few bands of memory, where a mapped file would count as well.

    Then the system refuses to let files grow: every encoder says so, and leaves nothing.
    """
    endings = (".png", ".tif", ".jpg", ".webp", ".npy", ".dzi")
    code = textwrap.dedent(ANOTHER_PROCESS).format(root=str(ROOT), endings=endings)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    megabytes, *said = done.stdout.splitlines()
    assert int(megabytes) < 90
    assert len(said) == len(endings)
    for ending, line in zip(endings, said):
        assert line.startswith(f"writing result{ending} failed (")
    assert sorted(os.listdir(tmp_path)) == ["large.raw", "large.tif", "tiles.raw"]


def test_a_full_disk_is_named(work_file, results, monkeypatch):
    def full(_path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("urst_core.formats.vips_formats.flush_file", full)
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _folder: type("Usage", (), {"free": 1_000_000})()
    )
    with pytest.raises(OutputError) as caught:
        encode(work_file, results / "result.png", SOURCE)
    assert str(caught.value) == (
        f"writing {results / 'result.png'} failed ([Errno 28] No space left on device); "
        f"the disk of {results} is full, free some of it"
    )
    assert os.listdir(results) == []
