"""Load Image and Save Image (Ultra-HR), with the stub."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest
import torch
from examples import load_picture, save_picture, stored_picture
from PIL import Image

FULL_SCALE = {torch.uint8: 255, torch.uint16: 65535}
SAVING = {"filename_prefix": "sub/a", "file_format": "TIFF", "quality": 90, "bits": "8"}

pytestmark = pytest.mark.usefixtures("inference_mode", "base")


@pytest.fixture(autouse=True)
def narrow_bands(part, monkeypatch):
    """So that small pictures have several."""
    monkeypatch.setattr(part("urst_core.pictures.source"), "BAND_PIXELS", 1000)


@pytest.fixture
def load(nodes):
    return lambda name: nodes["URSTLoadImage"].execute(image=name)


@pytest.fixture
def save(nodes):
    return lambda images, **inputs: nodes["URSTSaveImage"].execute(
        images=images, **(SAVING | inputs)
    )


def image_of(pixels):
    return (pixels.float() / FULL_SCALE[pixels.dtype]).permute(1, 2, 0).unsqueeze(0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_a_file_becomes_an_image_of_the_same_values(load, base, host, shown, dtype, ending):
    pixels = stored_picture((70, 90), dtype)
    save_picture(base / "input" / f"a{ending}", pixels)
    output = load(f"a{ending}")
    image, mask = output
    assert image.dtype == mask.dtype == torch.float32
    assert image.is_contiguous()
    assert torch.equal(image, image_of(pixels))
    assert torch.equal(mask, torch.zeros(1, 64, 64))
    assert output.ui["images"][0]["type"] == "temp"
    assert output.ui["images"][0]["filename"].endswith(".jpg")
    assert float((shown(output) - image).abs().mean()) < 0.1
    assert len(host.progress) > 5
    assert host.progress[-1] == (6300, 6300)


def test_alpha_becomes_a_mask_of_what_is_transparent(load, base):
    pixels = stored_picture((40, 60), channels=4)
    save_picture(base / "output" / "a.png", pixels)
    image, mask = load("a.png [output]")
    assert torch.equal(image, image_of(pixels[:3]))
    assert torch.equal(mask, 1 - image_of(pixels)[..., 3])


@pytest.mark.slow
def test_pictures_come_upright_gray_ones_in_three_channels(load, base):
    pixels = stored_picture((40, 60), channels=1)
    turned = Image.fromarray(pixels[0].numpy())
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(base / "input" / "a.png", exif=exif)
    image, _ = load("a.png")
    upright = pixels.rot90(-1, (1, 2)).expand(3, -1, -1)
    assert torch.equal(image, image_of(upright))


def test_the_page_sees_no_more_than_2048_pixels(load, save, base, shown):
    pixels = stored_picture((30, 5000))
    save_picture(base / "input" / "a.tif", pixels)
    output = load("a.tif")
    assert output[0].shape == (1, 30, 5000, 3)
    assert shown(output).shape == (1, 12, 2048, 3)
    assert torch.equal(shown(save(output[0])), shown(output))


def test_a_picture_too_large_for_memory_is_refused_early(load, base, part, errors, monkeypatch):
    save_picture(base / "input" / "a.tif", stored_picture((40, 60)))
    save_picture(base / "input" / "alpha.tif", stored_picture((40, 60), channels=4))
    device = part("urst_core.tiling.device")
    monkeypatch.setattr(device, "free_bytes", lambda _device: 40 * 60 * 12)
    assert load("a.tif")[0].shape == (1, 40, 60, 3)
    with pytest.raises(
        errors.DeviceError,
        match=r"picture alpha\.tif of 60 x 40 px needs 0\.00 GB .*; close other programs, "
        "or use Stylize File, which never loads the whole picture",
    ):
        load("alpha.tif")


def test_replaced_and_missing_files_are_noticed(nodes, base):
    node = nodes["URSTLoadImage"]
    path = save_picture(base / "input" / "a.tif", stored_picture((40, 60)))
    assert node.validate_inputs(image="a.tif") is True
    first = node.fingerprint_inputs(image="a.tif")
    os.utime(path, (1, 1))
    assert node.fingerprint_inputs(image="a.tif") != first
    assert "is not in the folder" in node.validate_inputs(image="b.tif")
    assert "is outside" in node.validate_inputs(image="../a.tif")


def test_cancel_ends_the_loading(load, base, host):
    save_picture(base / "input" / "a.tif", stored_picture((70, 90)))
    host.cancel_at = 3
    with pytest.raises(host.cancelled):
        load("a.tif")


@pytest.mark.parametrize("bits", ["8", "16"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize(("file_format", "ending"), [("TIFF", ".tif"), ("PNG", ".png")])
def test_an_image_becomes_a_file_of_the_nearest_values(
    save, base, shown, bits, channels, file_format, ending
):
    images = torch.rand(1, 70, 90, channels)
    before = images.clone()
    output = save(images, bits=bits, file_format=file_format)
    path = base / "output" / "sub" / f"a_00001_{ending}"
    assert list(output) == [str(path)]
    file = {"filename": path.name, "subfolder": "sub", "type": "output"}
    assert output.ui["files"] == [file]
    assert output.ui["text"] == [f"sub/{path.name}"]
    # No browser shows TIFF.
    assert (output.ui["images"] == [file]) == (file_format == "PNG")
    assert shown(output).shape == (1, 70, 90, 3)
    stored = load_picture(path)
    scale = 2 ** int(bits) - 1
    assert stored.dtype == (torch.uint8 if bits == "8" else torch.uint16)
    expected = (images[0].permute(2, 0, 1) * scale).round()
    assert torch.equal(stored.float(), expected)
    assert torch.equal(images, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type_is_saved_and_values_are_clamped(save, dtype):
    images = (torch.rand(1, 40, 60, 1) * 2 - 0.5).to(dtype)
    [path] = save(images)
    expected = (images[0, :, :, 0].float().clamp(0, 1) * 255).round()
    stored = load_picture(path)
    assert stored.shape == (3, 40, 60)
    assert all(torch.equal(channel.float(), expected) for channel in stored)


@pytest.mark.parametrize("file_format", ["JPEG", "WebP"])
def test_lossy_formats_take_the_quality(save, file_format):
    images = image_of(stored_picture((200, 200)))
    sizes = []
    for quality in (30, 95):
        [path] = save(images, file_format=file_format, quality=quality)
        sizes.append(os.path.getsize(path))
        assert (load_picture(path).float() / 255 - images[0].permute(2, 0, 1)).abs().mean() < 0.15
    assert sizes[0] < sizes[1] / 2


def test_deep_zoom_is_a_folder_of_tiles(save, base):
    [path] = save(torch.rand(1, 300, 400, 3), file_format="DeepZoom")
    assert path.endswith("a_00001_.dzi")
    assert sorted(entry.name for entry in (base / "output" / "sub").iterdir()) == [
        "a_00001_.dzi",
        "a_00001__files",
    ]
    [path] = save(torch.rand(1, 30, 40, 3), file_format="DeepZoom")
    assert path.endswith("a_00002_.dzi")


def test_files_of_a_batch_are_numbered_after_existing_ones(save, host):
    images = torch.rand(2, 40, 60, 3)
    paths = []
    for _ in range(2):
        host.progress.clear()
        paths += save(images)[0].splitlines()
        shares = [value / total for value, total in host.progress]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)
        assert {0.25, 0.5, 0.75} <= set(shares)
    assert [os.path.basename(path) for path in paths] == [f"a_0000{n}_.tif" for n in (1, 2, 3, 4)]
    names = save(images, filename_prefix="%width%x%height%_%batch_num%")[0].splitlines()
    assert [os.path.basename(n) for n in names] == ["60x40_0_00001_.tif", "60x40_1_00001_.tif"]


def test_names_may_have_widgets_dates_and_an_extension(nodes, base):
    class Clone(nodes["URSTSaveImage"]):
        hidden = SimpleNamespace(prompt={"4": SAMPLER}, extra_pnginfo=None)

    inputs = SAVING | {"filename_prefix": "%width%/%Mixer.share%.tif"}
    output = Clone.execute(images=torch.rand(1, 40, 60, 3), **inputs)
    assert output[0] == str(base / "output" / "60" / "0.5_00001_.tif")


SAMPLER = {"class_type": "Mixer", "inputs": {"share": 0.5}}


def test_outputs_that_cannot_be_written_are_refused_before_the_graph_runs(nodes, monkeypatch):
    ask = nodes["URSTSaveImage"].validate_inputs
    assert ask() is True
    assert ask(filename_prefix="a/b", file_format="TIFF", bits="16") is True
    assert "is outside the folder" in ask(filename_prefix="../a", file_format="TIFF", bits="8")
    assert "has no file name" in ask(filename_prefix=" ", file_format="TIFF", bits="8")
    assert ask(file_format="JPEG", bits="16") == (
        "JPEG has 8 bits per channel, not 16; choose 8 bits, or PNG or TIFF or DeepZoom"
    )
    assert "file format 'BMP' is unknown; use TIFF, PNG" in ask(file_format="BMP", bits="8")
    monkeypatch.setitem(sys.modules, "pyvips", None)
    for node_id in ("URSTSaveImage", "URSTStylizeFile"):
        answer = nodes[node_id].validate_inputs(file_format="PNG")
        assert "image files need libvips, which did not load" in answer
    answer = nodes["URSTLoadImage"].validate_inputs(image="a.tif")
    # Of ComfyUI's own Python, also in the portable build.
    assert answer.endswith(f'; {sys.executable} -m pip install "pyvips[binary]"')


def test_the_workflow_goes_into_the_file(nodes, save):
    class Clone(nodes["URSTSaveImage"]):
        hidden = SimpleNamespace(prompt={"a": 1}, extra_pnginfo={"workflow": {"b": 2}})

    inputs = {"images": torch.rand(1, 40, 60, 3), **SAVING}
    [png] = Clone.execute(**(inputs | {"file_format": "PNG"}))
    with Image.open(png) as image:
        image.load()
        assert json.loads(image.text["workflow"]) == {"b": 2}
        assert json.loads(image.text["prompt"]) == {"a": 1}
    for file_format in ("JPEG", "WebP"):
        [path] = Clone.execute(**(inputs | {"file_format": file_format}))
        with Image.open(path) as image:
            assert image.getexif()[0x010F] == 'workflow:{"b": 2}'
            assert image.getexif()[0x0110] == 'prompt:{"a": 1}'
    [tiff] = Clone.execute(**inputs)
    with Image.open(tiff) as image:
        assert b'<rdf:li>workflow:{"b": 2}</rdf:li>' in bytes(image.tag_v2[700])
    [plain] = save(inputs["images"])
    with Image.open(plain) as image:
        assert 700 not in image.tag_v2


def test_unsupported_pictures_are_refused(save, base, errors):
    alpha = torch.rand(1, 40, 60, 4)
    with pytest.raises(errors.OutputError, match=r"JPEG holds no alpha.*use \.png, \.tif"):
        save(alpha, file_format="JPEG")
    with pytest.raises(errors.OutputError, match=r"JPEG has 8 bits.*use \.png or \.tif"):
        save(alpha[..., :3], file_format="JPEG", bits="16")
    with pytest.raises(errors.ShapeError, match="IMAGE of shape"):
        save(torch.rand(1, 40, 60, 2))
    with pytest.raises(errors.OutputError, match="is outside the folder"):
        save(alpha, filename_prefix="../a")
    broken = alpha.clone()
    broken[0, 30, 7, 1] = float("nan")
    with pytest.raises(errors.ImageError, match="pixel at row 30, column 7 is NaN or infinite"):
        save(broken)
    assert [path for path in (base / "output").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("cancel_at", [3, 9])
def test_cancel_leaves_no_file(save, base, host, cancel_at):
    """Also for exceptions that do not derive from Exception, and during encoding."""

    class Interrupt(BaseException):
        pass

    host.cancel_at, host.cancelled = cancel_at, Interrupt
    with pytest.raises(Interrupt):
        save(torch.rand(1, 70, 90, 3))
    assert len(host.progress) == cancel_at
    assert [path for path in (base / "output").rglob("*") if path.is_file()] == []
