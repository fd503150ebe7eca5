"""Zarr pictures as sources: supported stores, their reading, and refusals."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from examples import save_picture, stored_picture

from urst_core.errors import ImageError
from urst_core.formats.open import ImageFile, open_picture
from urst_core.formats.zarr.source import ZarrPicture
from urst_core.formats.zarr.store import is_zarr, parse_location
from urst_core.geometry import Rectangle
from urst_core.pictures.thumbnail import make_thumbnail

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr >= 3 is not installed")

RAMP = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(3, 5, 7)
"""A picture whose value at channel c, row y, column x is 35 c + 7 y + x."""


def store_array(path, values, **options):
    array = zarr.create_array(str(path), data=values, **options)
    return array, path


def whole(source) -> torch.Tensor:
    return source.read(Rectangle.of_size(source.size))


def refusal(location, **options) -> str:
    with pytest.raises(ImageError) as caught:
        ZarrPicture(location, **options)
    return str(caught.value)


def store_image(
    location, values, *, axes="cyx", version="0.5", units=None, scale=None, **attributes
):
    """An OME-Zarr image as other tools write them."""
    kinds = {"t": "time", "c": "channel"}
    described = [{"name": a, "type": kinds.get(a, "space"), **(units or {})} for a in axes]
    for axis in described:
        if axis["type"] != "space":
            axis.pop("unit", None)
    moves = [{"type": "scale", "scale": scale or [1.0] * len(axes)}]
    image = {
        "multiscales": [
            {
                "axes": described,
                "datasets": [
                    {"path": "full", "coordinateTransformations": moves},
                    {"path": "half", "coordinateTransformations": moves},
                ],
            }
        ],
        **attributes,
    }
    old = version == "0.4"
    root = zarr.open_group(
        str(location),
        mode="w",
        zarr_format=2 if old else 3,
        attributes=image if old else {"ome": {"version": version, **image}},
    )
    for name in ("full", "half"):
        step = 1 if name == "full" else 2
        part = values[..., ::step, ::step]
        root.create_array(name, data=np.ascontiguousarray(part))
    return location


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_channels_first_and_last_are_distinguished(tmp_path, zarr_format):
    store_array(tmp_path / "first.zarr", RAMP, zarr_format=zarr_format, chunks=(1, 2, 3))
    store_array(tmp_path / "last.zarr", RAMP.transpose(1, 2, 0), zarr_format=zarr_format)
    for name in ("first", "last"):
        picture = ZarrPicture(tmp_path / f"{name}.zarr")
        assert (picture.size, picture.channels, picture.dtype) == ((5, 7), 3, torch.uint8)
        assert picture.read(Rectangle(1, 2, 3, 4)).tolist() == [
            [[9, 10], [16, 17]],
            [[44, 45], [51, 52]],
            [[79, 80], [86, 87]],
        ]


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "float16", "float32", "float64", ">u2", ">f4"]
)
def test_types_of_values(tmp_path, dtype):
    values = RAMP.astype(dtype) / (200 if "f" in dtype else 1)
    store_array(tmp_path / "a.zarr", values.astype(dtype), zarr_format=2)
    pixels = whole(ZarrPicture(tmp_path / "a.zarr"))
    name = np.dtype(dtype).newbyteorder("=").name
    assert str(pixels.dtype) == f"torch.{name}"
    assert np.array_equal(pixels.numpy(), values.astype(name))


def test_gray_becomes_rgb_and_keeps_alpha(tmp_path):
    store_array(tmp_path / "gray.zarr", RAMP[0])
    assert torch.equal(
        whole(ZarrPicture(tmp_path / "gray.zarr")), torch.tensor(RAMP[:1]).expand(3, 5, 7)
    )
    store_array(tmp_path / "alpha.zarr", RAMP[:2])
    picture = ZarrPicture(tmp_path / "alpha.zarr")
    assert picture.channels == 4
    assert whole(picture)[:, 0, 1].tolist() == [1, 1, 1, 36]


def test_style_is_laid_on_white(tmp_path):
    values = np.full((4, 2, 6), 100, np.uint8)
    values[3] = 0, 51, 102, 153, 204, 255
    store_array(tmp_path / "style.zarr", values)
    style = open_picture(tmp_path / "style.zarr", flatten=True)
    assert style.channels == 3
    assert whole(style)[0, 0].tolist() == [255, 224, 193, 162, 131, 100]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(("axes", "shape"), [("cyx", (3, 5, 7)), ("tczyx", (1, 3, 1, 5, 7))])
def test_largest_level_of_an_ome_zarr_image(tmp_path, version, axes, shape):
    location = store_image(tmp_path / "a.zarr", RAMP.reshape(shape), axes=axes, version=version)
    picture = ZarrPicture(location)
    assert picture.size == (5, 7)
    assert np.array_equal(whole(picture).numpy(), RAMP)
    assert picture.metadata.resolution is None


def test_resolution_of_an_ome_zarr_image(tmp_path):
    units, scale = {"unit": "micrometer"}, [1.0, 50.0, 40.0]
    location = store_image(tmp_path / "a.zarr", RAMP, units=units, scale=scale)
    assert ZarrPicture(location).metadata.resolution == (25.0, 20.0)


def test_array_with_named_dimensions(tmp_path):
    values = np.ascontiguousarray(RAMP.transpose(2, 0, 1)[:4])
    path = tmp_path / "named.zarr"
    array = zarr.create_array(
        str(path), shape=(4, 3, 5), dtype="uint8", dimension_names=("x", "c", "y")
    )
    array[...] = values
    assert np.array_equal(whole(ZarrPicture(path)).numpy(), values.transpose(1, 2, 0))


def test_picture_in_memory_and_by_file_url(tmp_path):
    store_array(tmp_path / "a.zarr", RAMP)
    location = parse_location((tmp_path / "a.zarr").as_uri())
    assert location == tmp_path / "a.zarr"
    assert np.array_equal(whole(ZarrPicture(location)).numpy(), RAMP)
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    zarr.create_array("memory://pictures/a.zarr", data=RAMP, overwrite=True)
    picture = open_picture(parse_location("memory://pictures/a.zarr"))
    assert np.array_equal(whole(picture).numpy(), RAMP)
    assert float(make_thumbnail(picture, 3).max()) <= 1.0


def test_which_pictures_are_zarr(tmp_path):
    assert is_zarr(parse_location("s3://bucket/a.ome.zarr/"))
    assert not is_zarr(parse_location("C:\\pictures\\a.tif"))
    store_array(tmp_path / "unnamed", RAMP)
    assert isinstance(open_picture(tmp_path / "unnamed"), ZarrPicture)
    file = save_picture(tmp_path / "a.png", stored_picture((5, 7)))
    assert isinstance(open_picture(file), ImageFile)


# What is refused


def test_absent_store(tmp_path):
    message = refusal(tmp_path / "absent.zarr")
    assert message.startswith(f"picture {tmp_path / 'absent.zarr'} cannot be read as Zarr (")
    assert message.endswith("); check the path, the network and the rights")


def test_unknown_kind_of_url():
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    assert "(Protocol not known: foo)" in refusal("foo://bucket/a.zarr")


def test_without_zarr(monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    message = refusal("a.zarr")
    assert message.startswith("Zarr pictures need zarr, which did not load (")
    assert message.endswith('; pip install "zarr>=3"')


def test_with_zarr_2(monkeypatch):
    monkeypatch.setattr(zarr, "__version__", "2.18.3")
    assert refusal("a.zarr") == (
        'zarr 2.18.3 is too old for Zarr pictures; with Python 3.11 or newer, pip install "zarr>=3"'
    )


def test_group_that_is_not_an_image(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    path = tmp_path / "a.zarr"
    assert refusal(path) == (
        f"{path} is a Zarr group but no OME-Zarr image; name the image or array in it"
    )
    root.create_group("0")
    root.create_array("map", data=RAMP)
    assert refusal(path).endswith("name the image or array in it, one of: 0, map")


def test_damaged_description(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    root.attrs["ome"] = {"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}], "datasets": []}]}
    message = refusal(tmp_path / "a.zarr")
    assert "has no usable OME-Zarr description (" in message
    assert message.endswith("); use version 0.4 or 0.5 of the format")


def test_several_planes(tmp_path):
    values = np.zeros((3, 2, 5, 7), np.uint8)
    location = store_image(tmp_path / "a.zarr", values, axes="czyx")
    assert refusal(location) == (
        f"picture {location} has 2 planes along axis z; "
        "write the one to stylize as an image of its own"
    )


def test_image_without_rows(tmp_path):
    location = store_image(tmp_path / "a.zarr", RAMP, axes="czx")
    assert refusal(location) == (
        f"picture {location} has axes c, z, x; a picture needs axes y and x"
    )


def test_channels_of_other_colors(tmp_path):
    colors = [{"color": "0000FF"}, {"color": "00ff00"}, {"color": "FF0000"}]
    location = store_image(tmp_path / "a.zarr", RAMP, omero={"channels": colors})
    assert refusal(location) == (
        f"picture {location} has channels of colors 0000FF, 00FF00, FF0000; only RGB can be "
        "stylized, in the order FF0000, 00FF00, 0000FF"
    )


@pytest.mark.parametrize(
    ("shape", "ending"),
    [
        ((3, 9, 4), "may have its channels first or last; name its dimensions c, y and x"),
        (
            (5, 9, 7),
            "has shape (5, 9, 7); use (height, width), (height, width, channels) or "
            "(channels, height, width) with 1 to 4 channels",
        ),
        (
            (9,),
            "has shape (9,); use (height, width), (height, width, channels) or "
            "(channels, height, width) with 1 to 4 channels",
        ),
        ((0, 9), "of shape (0, 9) is empty; get it again"),
    ],
)
def test_shapes_that_are_no_pictures(tmp_path, shape, ending):
    path = tmp_path / "a.zarr"
    zarr.create_array(str(path), shape=shape, dtype="uint8")
    assert refusal(path).endswith(ending)


def test_too_many_channels(tmp_path):
    location = store_image(tmp_path / "a.zarr", np.zeros((5, 6, 7), np.uint8))
    assert refusal(location) == (
        f"picture {location} has 5 channels; use gray or RGB, with or without alpha"
    )


def test_values_that_are_no_pixels(tmp_path):
    store_array(tmp_path / "a.zarr", RAMP.astype(np.int32))
    assert refusal(tmp_path / "a.zarr") == (
        f"picture {tmp_path / 'a.zarr'} stores int32 values; "
        "use uint8, uint16, or floating ones of 0 to 1"
    )


def test_damaged_chunk(tmp_path):
    _, path = store_array(tmp_path / "a.zarr", RAMP, chunks=(3, 5, 7))
    chunk = path / "c" / "0" / "0" / "0"
    chunk.write_bytes(b"no chunk at all")
    with pytest.raises(ImageError) as caught:
        whole(ZarrPicture(path))
    message = str(caught.value)
    assert message.startswith(f"picture {path} is damaged or out of reach (")
    assert message.endswith("); check the store, or get it again")


def test_unfinished_store(tmp_path):
    array, path = store_array(tmp_path / "a.zarr", RAMP)
    array.attrs["urst"] = {"incomplete": {}}
    assert refusal(path) == (
        f"picture {path} is unfinished: a run writes it still, or ended early; "
        "let that run finish, or delete it"
    )
    assert ZarrPicture(path, unfinished=True).size == (5, 7)


def test_damaged_metadata(tmp_path):
    array, path = store_array(tmp_path / "a.zarr", RAMP)
    array.attrs["urst"] = {"metadata": {"profile": "no base64!"}}
    with pytest.raises(ImageError) as caught:
        ZarrPicture(path).metadata  # noqa: B018 - a property that raises
    message = str(caught.value)
    assert message.startswith(f"picture {path} has damaged metadata (")
    assert message.endswith("; remove metadata from its attribute 'urst', or get it again")


def test_style_with_a_color_profile(tmp_path):
    array, path = store_array(tmp_path / "a.zarr", RAMP)
    array.attrs["urst"] = {"metadata": {"profile": "AAAA"}}
    assert refusal(path, to_srgb=True) == (
        f"style {path} has a color profile, which is not applied to Zarr styles; "
        "save it as a TIFF or PNG file"
    )
