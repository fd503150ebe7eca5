"""NumPy files as pictures: read in parts, all kinds of values, refusals."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch
from examples import stored_picture

from urst_core.errors import ImageError
from urst_core.formats.numpy_file import NumpyPicture
from urst_core.formats.open import ImageFile, ImageFileCanvas, copy_picture, open_picture
from urst_core.geometry import Rectangle
from urst_core.pictures.on_white import OnWhite
from urst_core.pictures.padding import read_window

SIZE = (21, 34)
PART = Rectangle(5, 7, 20, 30)


def whole(source) -> torch.Tensor:
    return source.read(Rectangle.of_size(source.size))


def values(dtype, channels):
    rows = stored_picture(SIZE, channels=max(channels, 1)).permute(1, 2, 0).numpy()
    rows = rows if channels else rows[..., 0]
    return rows.astype(dtype) if np.dtype(dtype).kind == "u" else (rows / 255).astype(dtype)


@pytest.mark.parametrize("channels", [0, 1, 3, 4])
@pytest.mark.parametrize("dtype", ["<u1", "<u2", ">u2", "<f2", "<f4", ">f4", "<f8"])
def test_every_kind(tmp_path, channels, dtype):
    order = "F" if ">" in dtype else "C"
    array = np.array(values(dtype, channels), dtype=dtype, order=order)
    np.save(tmp_path / "picture.npy", array)
    with NumpyPicture(tmp_path / "picture.npy") as source:
        native = array.astype(array.dtype.newbyteorder("="))
        expected = torch.from_numpy(np.ascontiguousarray(native.reshape(*SIZE, -1)))
        expected = expected.permute(2, 0, 1)
        if channels < 3:
            expected = expected.repeat(3, 1, 1)
        assert (source.size, source.channels) == (SIZE, expected.shape[0])
        assert source.dtype == expected.dtype
        assert torch.equal(source.read(PART), expected[(..., *PART.slices)])
        assert torch.equal(whole(source), expected)
        window = read_window(source, Rectangle(0, 0, 24, 40), torch.device("cpu"))
        assert window.shape == (1, 3, 24, 40)


def test_only_the_read_part_takes_memory(tmp_path):
    """A file of 60 GB, without its blocks on the disk."""
    path = tmp_path / "large.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (100_000, 200_000, 3)}
        )
        start = file.tell()
        file.truncate(start + 60_000_000_000)
        file.seek(start + (99_000 * 200_000 + 150_000) * 3)
        file.write(b"\x01\x02\x03")
    with NumpyPicture(path) as source:
        assert source.size == (100_000, 200_000)
        pixels = source.read(Rectangle(99_000, 150_000, 99_064, 150_064))
        assert pixels[:, 0, 0].tolist() == [1, 2, 3]
        assert int(pixels.sum()) == 6


def test_file_to_file(tmp_path):
    np.save(tmp_path / "content.npy", values("<f4", 4))
    source = open_picture(tmp_path / "content.npy")
    with ImageFileCanvas(tmp_path / "result.npy", source) as canvas:
        copy_picture(source, canvas, band=4)
    assert np.array_equal(np.load(tmp_path / "result.npy"), np.load(tmp_path / "content.npy"))


def test_after_it_was_closed(tmp_path):
    path = tmp_path / "picture.npy"
    np.save(path, values("<u1", 3))
    source = NumpyPicture(path)
    source.close()
    source.close()
    with pytest.raises(ImageError) as caught:
        whole(source)
    assert str(caught.value) == f"picture {path} was closed; open it again"
    path.unlink()
    assert source.size == SIZE


@pytest.mark.parametrize(
    "shape", [(), (5,), (3, 20, 30), (20, 30, 2), (20, 30, 5), (1, 20, 30, 3), (0, 30, 3)]
)
def test_shapes_that_are_no_picture(tmp_path, shape):
    path = tmp_path / "picture.npy"
    np.save(path, np.zeros(shape, np.uint8))
    with pytest.raises(ImageError) as caught:
        NumpyPicture(path)
    if 0 in shape or shape == ():
        assert str(caught.value).startswith(f"picture {path} ")
        return
    assert str(caught.value) == (
        f"picture {path} has the shape {shape}; save (height, width) or (height, width, 1, 3 or "
        "4), with the channels last"
    )


@pytest.mark.parametrize("dtype", ["int64", "bool", "int8", "complex64", "U3", "uint32"])
def test_values_that_are_no_pixels(tmp_path, dtype):
    path = tmp_path / "picture.npy"
    np.save(path, np.zeros((20, 30, 3), dtype))
    with pytest.raises(ImageError) as caught:
        NumpyPicture(path)
    assert str(caught.value) == (
        f"picture {path} stores {np.dtype(dtype)} values; save uint8, uint16, or floating ones "
        "from 0 to 1"
    )


@pytest.mark.parametrize("value", [255.0, 1.5, -0.25, np.inf])
def test_floating_values_out_of_range(tmp_path, value):
    path = tmp_path / "picture.npy"
    array = np.zeros((*SIZE, 3), np.float32)
    array[9, 11, 2] = value
    np.save(path, array)
    source = NumpyPicture(path)
    assert not source.read(Rectangle(0, 0, 9, 34)).any()
    with pytest.raises(ImageError) as caught:
        source.read(PART)
    assert str(caught.value) == (
        f"picture {path} has the value {value:g} at row 9, column 11; floating pictures hold 0 to "
        "1: divide by their full scale, or clip them"
    )


def test_nan_is_refused_by_who_reads_it(tmp_path):
    array = np.zeros((*SIZE, 3), np.float32)
    array[9, 11, 2] = np.nan
    np.save(tmp_path / "picture.npy", array)
    with pytest.raises(ImageError, match="row 9, column 11 is NaN or infinite"):
        read_window(NumpyPicture(tmp_path / "picture.npy"), PART, torch.device("cpu"))


def test_damaged_or_foreign_files(tmp_path):
    path = tmp_path / "picture.npy"
    np.save(path, values("<u1", 3))
    stored = path.read_bytes()
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}, None]), allow_pickle=True)
    odd_headers = [
        stored.replace(b"'shape': (", b"'shape': h"),
        stored.replace(b"), }", b"), \0"),
        stored.replace(b"{'descr'", b"\xff'descr'"),
        stored.replace(b"\x00{", b"\xff{"),
    ]
    others = [b"text" * 50, objects.read_bytes()]
    assert stored not in odd_headers
    for contents in (stored[:-1], stored[:40], *odd_headers, *others):
        path.write_bytes(contents)
        with pytest.raises(ImageError) as caught:
            NumpyPicture(path)
        message = str(caught.value)
        assert message.startswith(f"picture {path} is not a complete NumPy file (")
        assert message.endswith("); save it again by numpy.save")


def test_several_arrays(tmp_path):
    np.savez(tmp_path / "arrays.npz", values("<u1", 3))
    path = tmp_path / "picture.npy"
    (tmp_path / "arrays.npz").rename(path)
    with pytest.raises(ImageError) as caught:
        NumpyPicture(path)
    assert str(caught.value) == f"picture {path} holds several arrays; save one by numpy.save"


def test_contents_before_the_ending(tmp_path):
    """A NumPy file under any name is one; image files need no right ending anyway."""
    np.save(tmp_path / "picture.npy", values("<u1", 3))
    (tmp_path / "picture.npy").rename(tmp_path / "picture.dat")
    assert isinstance(open_picture(tmp_path / "picture.dat"), NumpyPicture)
    with ImageFileCanvas(tmp_path / "a.png", open_picture(tmp_path / "picture.dat")) as canvas:
        copy_picture(canvas._like, canvas)
    os.rename(tmp_path / "a.png", tmp_path / "a.jpg")
    assert isinstance(open_picture(tmp_path / "a.jpg"), ImageFile)
    assert torch.equal(
        whole(open_picture(tmp_path / "a.jpg")), whole(open_picture(tmp_path / "picture.dat"))
    )


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<f4"])
def test_a_style_is_laid_on_white(tmp_path, dtype):
    full = 1 if dtype == "<f4" else np.iinfo(dtype).max
    array = np.zeros((2, 3, 4), dtype)
    array[..., 3] = [0, full, full // 2 if full > 1 else 0.5]
    np.save(tmp_path / "style.npy", array)
    source = open_picture(tmp_path / "style.npy", flatten=True)
    assert isinstance(source, OnWhite)
    assert (source.size, source.channels) == ((2, 3), 3)
    pixels = whole(source)
    assert pixels.dtype == source.dtype == open_picture(tmp_path / "style.npy").dtype
    clear, opaque, half = (float(pixels[0, 0, column]) / full for column in range(3))
    assert (clear, opaque) == (1.0, 0.0)
    assert half == pytest.approx(0.5, abs=0.003)


@pytest.mark.parametrize("name", ["absent.npy", "absent.png", "n" * 300, "folder", "empty.npy"])
def test_files_without_a_picture(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.npy").touch()
    with pytest.raises(ImageError) as caught:
        open_picture(tmp_path / name)
    rule = {
        "folder": " is a folder; name a file in it",
        "empty.npy": " is empty (0 bytes); get it again",
        "n" * 300: " cannot be read ([Errno 36] File name too long: "
        f"{str(tmp_path / name)!r}); check the path",
    }.get(name, " does not exist; check the path")
    if len(name) == 300 and "Errno 36" not in str(caught.value):
        rule = str(caught.value).removeprefix(f"picture {tmp_path / name}")
    assert str(caught.value) == f"picture {tmp_path / name}{rule}"


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_not_unicode(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    assert str(caught.value) == f"picture {str(path)!r}: its name is not valid Unicode; rename it"


def with_header(text: str, version: tuple[int, int]) -> bytes:
    header = text.encode("latin-1")
    length = len(header).to_bytes(2 if version == (1, 0) else 4, "little")
    return b"\x93NUMPY" + bytes(version) + length + header + bytes(100)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0), (9, 9)])
@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4, 3{, 3), }",
        "{'descr': ',u1', 'fortran_order': False, 'shape': (3, 3), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-5, 3, 3), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 3, 3), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999, 3, 3), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296, 3), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3, 3), }",
        "{[]: 1}",
        "(" * 5000,
        "\0",
        "",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_header_that_makes_no_sense(tmp_path, header, version):
    path = tmp_path / "picture.npy"
    path.write_bytes(with_header(header, version))
    with pytest.raises(ImageError) as caught:
        open_picture(path)
    message = str(caught.value)
    assert message.startswith(f"picture {path} is not a complete NumPy file (")
    assert message.endswith("); save it again by numpy.save")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_header_is_refused_or_read(tmp_path, seed):
    """20 x 20 headers with bytes of Python's own characters in them: no other error."""
    path = tmp_path / "picture.npy"
    np.save(path, np.zeros((40, 30, 3), np.uint8))
    stored, chance = path.read_bytes(), random.Random(seed)
    outcomes = set()
    for _ in range(20):
        header = bytearray(stored)
        for _ in range(chance.randrange(1, 4)):
            header[chance.randrange(100)] = ord(chance.choice("'{}(),:<>|fuiOV0123456789- \n"))
        path.write_bytes(header[: chance.choice([len(header), chance.randrange(1, 200)])])
        try:
            source = open_picture(path)
            assert source.read(Rectangle(0, 0, 1, 1)).shape == (source.channels, 1, 1)
            outcomes.add("read")
        except ImageError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_pixels_that_look_like_the_end_of_an_archive(tmp_path):
    pixels = np.zeros((40, 30, 3), np.uint8)
    pixels.reshape(-1)[-22:-18] = list(b"PK\x05\x06")
    np.save(tmp_path / "picture.npy", pixels)
    assert open_picture(tmp_path / "picture.npy").size == (40, 30)
