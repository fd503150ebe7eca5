"""Zarr canvases: content of stores, write access, and leftover files."""

from __future__ import annotations

import json
import os
from collections import namedtuple

import numpy as np
import pytest
import torch
from examples import load_picture, stored_picture
from PIL import Image, ImageCms

from urst_core.errors import ImageError, OutputError
from urst_core.formats import places
from urst_core.formats.open import ImageFile, ImageFileCanvas, copy_picture
from urst_core.formats.zarr import canvas as zarr_canvas
from urst_core.formats.zarr.canvas import ZarrCanvas, check_zarr_output
from urst_core.formats.zarr.level import ZarrLevel, chunk_of, halved
from urst_core.formats.zarr.source import ZarrPicture
from urst_core.geometry import Rectangle, cut
from urst_core.method.pipeline import stylize
from urst_core.pictures.source import TensorCanvas, TensorSource
from urst_core.tiling.settings import IfInterrupted, Settings

zarr = pytest.importorskip("zarr", minversion="3", reason="zarr >= 3 is not installed")

PLACES = ["{}/a.zarr", "memory://{}/a.ome.zarr"]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    """Where a store may lie: in a folder, and behind a URL."""
    if "://" not in request.param:
        return tmp_path / "a.zarr"
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    return request.param.format(tmp_path.name)


def whole(source) -> torch.Tensor:
    return source.read(Rectangle.of_size(source.size))


def write(place, pixels, **options):
    source = TensorSource(pixels)
    with ZarrCanvas(place, source, **options) as canvas:
        for core in cut(Rectangle.of_size(source.size), 50):
            canvas.write(core, source.read(core))
    return ZarrPicture(place)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_written_pixels_are_read_back(place, dtype, channels):
    if dtype.is_floating_point:
        pixels = stored_picture((90, 118), channels=channels).float() / 255
    else:
        pixels = stored_picture((90, 118), dtype, channels=channels)
    assert torch.equal(whole(write(place, pixels)), pixels)


def test_description_of_the_image(tmp_path):
    """Literally: other programs read it."""
    write(tmp_path / "a.ome.zarr", stored_picture((300, 200)), edge=128)
    root = json.loads((tmp_path / "a.ome.zarr" / "zarr.json").read_text())
    assert root["zarr_format"] == 3
    ome = root["attributes"]["ome"]
    assert ome["version"] == "0.5"
    assert ome["multiscales"][0]["axes"] == [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]
    assert ome["multiscales"][0]["datasets"][2] == {
        "path": "2",
        "coordinateTransformations": [
            {"type": "scale", "scale": [1.0, 4.0, 4.0]},
            {"type": "translation", "translation": [0.0, 1.5, 1.5]},
        ],
    }
    assert [channel["color"] for channel in ome["omero"]["channels"]] == [
        "FF0000",
        "00FF00",
        "0000FF",
    ]
    levels = zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="r")
    assert [levels[name].shape for name in ("0", "1", "2")] == [
        (3, 300, 200),
        (3, 150, 100),
        (3, 75, 50),
    ]
    assert "3" not in levels
    assert levels["0"].chunks == (3, 128, 128)
    assert levels["0"].metadata.dimension_names == ("c", "y", "x")


def test_halving_by_hand():
    pixels = torch.tensor([[[0, 1, 9], [1, 1, 10], [7, 8, 255]]], dtype=torch.uint8)
    assert halved(pixels).tolist() == [[[1, 10], [8, 255]]]
    wide = torch.tensor([[[65535, 65535], [65535, 65532]]], dtype=torch.int32).to(torch.uint16)
    assert halved(wide).tolist() == [[[65534]]]
    assert halved(torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])).tolist() == [[[0.375]]]


@pytest.mark.slow
def test_pyramid_is_the_picture_halved_again_and_again(place):
    pixels = stored_picture((301, 263))
    write(place, pixels, edge=64)
    levels = zarr.open_group(str(place), mode="r")
    for number in (1, 2, 3):
        pixels = halved(pixels)
        assert np.array_equal(levels[str(number)][...], pixels.numpy())
    assert max(pixels.shape) == 38
    assert "4" not in levels


@pytest.mark.parametrize(
    ("edge", "chunk"),
    [(8, 8), (160, 160), (512, 512), (2048, 512), (1000, 500), (536, 268), (8168, 8168)],
)
def test_chunks_divide_cores(edge, chunk):
    assert chunk_of(edge) == chunk


def test_other_processes_write_whole_chunks_only(place):
    pixels = stored_picture((90, 118))
    with ZarrCanvas(place, TensorSource(pixels), edge=32) as canvas:
        level = ZarrLevel.open(canvas.working_location)
        for core in cut(Rectangle(0, 0, 90, 118), 32):
            level.write(core, pixels[(..., *core.slices)])
        for rectangle in (
            Rectangle(8, 0, 32, 32),
            Rectangle(0, 0, 32, 48),
            Rectangle(64, 0, 89, 32),
        ):
            with pytest.raises(OutputError) as caught:
                level.write(rectangle, pixels[(..., *rectangle.slices)])
        assert str(caught.value) == (
            "rectangle 64, 0, 89, 32 covers chunks of 32 px in part, which another process may be "
            "writing; write cores of a multiple of it"
        )
    assert torch.equal(whole(ZarrPicture(place)), pixels)


def test_a_torn_chunk_is_repaired_by_writing_it_again(tmp_path):
    """As when a process dies while it writes; also at the border, where chunks hang over."""
    pixels = stored_picture((40, 40))
    with ZarrCanvas(tmp_path / "a.zarr", TensorSource(pixels), edge=32) as canvas:
        canvas.write(Rectangle(0, 0, 40, 40), pixels)
        chunks = list((canvas.working_location / "0" / "c").rglob("*/*/*"))
        assert len(chunks) == 4
        for chunk in chunks:
            chunk.write_bytes(chunk.read_bytes()[:10])
        level = ZarrLevel.open(canvas.working_location)
        for core in cut(Rectangle(0, 0, 40, 40), 32):
            level.write(core, pixels[(..., *core.slices)])
    assert torch.equal(whole(ZarrPicture(tmp_path / "a.zarr")), pixels)


@pytest.mark.slow
def test_stylizing_into_a_store_is_stylizing_into_memory(tmp_path, microast):
    source = TensorSource(stored_picture((90, 118), channels=4))
    style = TensorSource(stored_picture((64, 72), seed=3))
    settings = Settings(
        strokes="fine", thumbnail_size=64, style_size=64, tile_size=40, device="cpu"
    )
    canvas = TensorCanvas((90, 118), channels=4)
    stylize(source, [style], canvas, microast, settings)
    with ZarrCanvas(tmp_path / "a.zarr", source) as store:
        stylize(source, [style], store, microast, settings)
    assert torch.equal(whole(ZarrPicture(tmp_path / "a.zarr")), canvas.pixels)


def test_metadata_survives_the_way_to_zarr_and_back(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = stored_picture((90, 118))
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(
        tmp_path / "a.tif", icc_profile=profile, dpi=(254, 254)
    )
    source = ImageFile(tmp_path / "a.tif")
    with ZarrCanvas(tmp_path / "a.zarr", source) as canvas:
        canvas.write(Rectangle(0, 0, 90, 118), pixels)
    picture = ZarrPicture(tmp_path / "a.zarr")
    assert picture.metadata.profile == profile
    assert picture.metadata.resolution == pytest.approx((10.0, 10.0))
    with ImageFileCanvas(tmp_path / "b.tif", picture) as canvas:
        copy_picture(picture, canvas, band=32)
    assert torch.equal(load_picture(tmp_path / "b.tif"), pixels)
    back = ImageFile(tmp_path / "b.tif").metadata
    assert back.profile == profile
    assert back.resolution == pytest.approx((10.0, 10.0), rel=1e-3)


# Unfinished and refused


def test_readers_refuse_a_store_until_it_is_complete(place):
    source = TensorSource(stored_picture((40, 40)))
    with ZarrCanvas(place, source) as canvas:
        with pytest.raises(
            ImageError, match=r"is unfinished: a run writes it still, or ended early"
        ):
            ZarrPicture(canvas.working_location)
        if not isinstance(place, str):
            assert not place.exists()
            assert canvas.working_location == place.with_name("a.zarr.unfinished")
    assert ZarrPicture(place).size == (40, 40)


@pytest.mark.parametrize("error", [OutputError("no"), KeyboardInterrupt(), SystemExit(143)])
def test_errors_leave_no_files_behind(place, error, tmp_path):
    canvas = ZarrCanvas(place, TensorSource(stored_picture((40, 40))))
    with pytest.raises(type(error)), canvas:
        raise error
    assert os.listdir(tmp_path) == []
    assert check_zarr_output(place, TensorSource(stored_picture((40, 40)))) is False


def test_existing_store_is_kept_until_the_end(tmp_path):
    place = tmp_path / "a.zarr"
    first, second = stored_picture((40, 40)), stored_picture((30, 50), seed=1)
    write(place, first)
    canvas = ZarrCanvas(place, TensorSource(second), overwrite=True)
    with pytest.raises(KeyboardInterrupt), canvas:
        raise KeyboardInterrupt
    assert torch.equal(whole(ZarrPicture(place)), first)
    write(place, second, overwrite=True)
    assert torch.equal(whole(ZarrPicture(place)), second)
    assert os.listdir(tmp_path) == ["a.zarr"]


def refusal(place, source=None, **options) -> str:
    with pytest.raises(OutputError) as caught:
        ZarrCanvas(place, source or TensorSource(stored_picture((40, 40))), **options)
    return str(caught.value)


def test_existing_output(place):
    write(place, stored_picture((40, 40)))
    message = f"{place} exists; choose another name, or pass overwrite=True"
    assert refusal(place) == message
    assert refusal(place, if_interrupted=IfInterrupted.RESUME) == message


def test_unfinished_output(place):
    pixels = stored_picture((40, 40))
    begun = ZarrCanvas(place, TensorSource(pixels))
    begun.write(Rectangle(0, 0, 20, 40), pixels[:, :20])
    assert refusal(place, overwrite=True) == (
        f"an earlier run for {place} was interrupted; pass if_interrupted='resume', "
        "or pass if_interrupted='restart'"
    )
    with ZarrCanvas(place, TensorSource(pixels), if_interrupted=IfInterrupted.RESUME) as canvas:
        canvas.write(Rectangle(20, 0, 40, 40), pixels[:, 20:])
    assert torch.equal(whole(ZarrPicture(place)), pixels)


def test_unfinished_output_that_is_thrown_away(place):
    pixels = stored_picture((40, 40))
    begun = ZarrCanvas(place, TensorSource(pixels))
    begun.write(Rectangle(0, 0, 40, 40), pixels)
    with ZarrCanvas(place, TensorSource(pixels), if_interrupted=IfInterrupted.DISCARD):
        pass
    assert not whole(ZarrPicture(place)).any()


def test_output_that_is_the_content(place):
    write(place, stored_picture((40, 40)))
    assert refusal(place, ZarrPicture(place), overwrite=True) == (
        f"output {place} is the content itself; choose another name"
    )


def test_output_that_is_not_named_zarr(tmp_path):
    path = tmp_path / "a.tif"
    assert refusal(path) == f"{path} is not a valid name of a Zarr store; end it with .zarr"


def test_folder_that_does_not_exist(tmp_path):
    assert refusal(tmp_path / "absent" / "a.zarr") == (
        f"folder {tmp_path / 'absent'} does not exist; create it first"
    )


def test_folder_that_is_not_writable(tmp_path, monkeypatch):
    monkeypatch.setattr(places.os, "access", lambda *_: False)
    assert refusal(tmp_path / "a.zarr") == f"folder {tmp_path} is not writable; choose another"


def test_too_little_space(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_canvas.shutil, "disk_usage", lambda _: Usage(0, 0, 3_000_000_000))
    source = TensorSource(torch.zeros(3, 1, 1, dtype=torch.uint8).expand(3, 40_000, 40_000))
    assert refusal(tmp_path / "a.zarr", source) == (
        f"{tmp_path / 'a.zarr'} may take 6.4 GB, 3.0 GB are free in {tmp_path}; "
        "free some or choose another folder"
    )


def test_url_that_cannot_be_reached():
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    assert refusal("foo://bucket/a.zarr") == (
        "foo://bucket/a.zarr cannot be reached (Protocol not known: foo); "
        "check the URL and the rights"
    )


def test_storage_that_fails(place, monkeypatch):
    canvas = ZarrCanvas(place, TensorSource(stored_picture((40, 40))))

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(canvas._levels[0].array), "__setitem__", fail)
    with pytest.raises(OutputError) as caught:
        canvas.write(Rectangle(0, 0, 40, 40), stored_picture((40, 40)))
    assert str(caught.value) == (
        f"writing {canvas.working_location} failed ([Errno 28] No space left on device); "
        "free space, or check the storage"
    )
