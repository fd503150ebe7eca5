"""The front door: every kind of picture in, the same kind out; examples; cost of the import."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import moving_frames, save_clip
from PIL import Image, ImageCms

import urst_core as urst
from urst_core.formats import vips_loader
from urst_core.formats.clip import Clip
from urst_core.geometry import Rectangle
from urst_core.kinds import read_style
from urst_core.model import Model
from urst_core.pictures.source import from_unit, to_unit
from urst_core.runs.clip_run import ClipRun
from urst_core.tiling.settings import SettingsOptions

SIZE = (48, 64)


def noise(*shape, seed=0):
    """Smooth colors, uint8, (H, W, C)."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, shape[-1]), np.uint8)
    layers = [
        np.asarray(Image.fromarray(layer).resize(shape[1::-1]))
        for layer in np.moveaxis(small, -1, 0)
    ]
    return np.stack(layers, axis=-1)


@pytest.fixture(scope="module")
def photo():
    return noise(*SIZE, 3)


@pytest.fixture(scope="module")
def painting():
    return noise(40, 50, 3, seed=3)


@pytest.fixture(scope="module")
def model():
    return urst.load_backbone(device="cpu")


@pytest.fixture(scope="module")
def style(model, painting):
    return model.encode(painting)


@pytest.fixture(scope="module")
def painted(model, photo, style):
    """The result as an array of uint8: what every other kind has to equal."""
    result = model(photo, style)
    assert result.std() > 10
    return result


@pytest.fixture
def files(tmp_path, monkeypatch, photo, painting):
    """photo.jpg, painting.jpg, other.jpg and clip.mp4 in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, pixels in (("photo", photo), ("painting", painting), ("other", painting[::-1])):
        Image.fromarray(pixels).save(f"{name}.jpg", quality=95)
    save_clip(tmp_path / "clip.mp4", moving_frames(3))
    return tmp_path


# --- the package ---------------------------------------------------------------------------------

IMPORT = """
import json, sys
import urst_core
names = dir(urst_core)
print(json.dumps([sorted(m.split(".")[0] for m in sys.modules), names]))
"""


def test_importing_the_package_loads_nothing_heavy():
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True
    )
    modules, names = json.loads(answer.stdout)
    assert {"torch", "numpy", "PIL", "pyvips", "tqdm", "safetensors"}.isdisjoint(modules)
    assert set(urst.__all__) <= set(names)


def test_exported_names():
    assert set(urst.__all__) == {
        *(
            "stylize",
            "stylize_file",
            "stylize_video",
            "load_backbone",
            "list_backbones",
            "open_picture",
        ),
        *("color_regions", "mask_regions", "mix_along_map", "Regions"),
        *("Settings", "Mask", "Progress", "StyleCode", "SavedStyle", "FrozenStats", "URSTError"),
        *("Source", "Canvas", "TensorSource", "TensorCanvas"),
    }
    for name in urst.__all__:
        assert getattr(urst, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'urst_core' has no attribute 'stylise'"):
        _ = urst.stylise


def test_type_checkers_see_the_same_names():
    source = Path(urst.__file__).read_text(encoding="utf-8")
    [block] = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    seen = {each.name for line in block.body for each in line.names}
    assert seen == set(urst.__all__)
    assert Path(urst.__file__).with_name("py.typed").is_file()


def test_the_options_for_type_checkers_are_the_settings():
    settings = {field.name: field.type for field in fields(urst.Settings)}
    options = {name: kind.__forward_arg__ for name, kind in SettingsOptions.__annotations__.items()}
    assert options == settings
    assert SettingsOptions.__total__ is False


def examples() -> list[Any]:
    finder = doctest.DocTestFinder(recurse=False)
    objects = {name: getattr(urst, name) for name in urst.__all__}
    found = []
    methods = ("__call__", "encode", "measure", "write")
    objects |= {f"Model.{name}": getattr(Model, name) for name in methods}
    for name, value in objects.items():
        [test] = finder.find(value, name)
        found.append(pytest.param(test, id=name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("test", examples())
@pytest.mark.usefixtures("files")
def test_every_public_name_has_an_example_that_runs(test):
    assert test.examples
    told: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert not told, "".join(told)


def test_the_libraries_own_words_list_the_options():
    text = inspect.getdoc(urst.stylize)
    for field in fields(urst.Settings):
        assert f"``{field.name}``" in text


# --- kinds of content ----------------------------------------------------------------------------


def test_arrays_and_tensors_give_the_same_pixels(model, style, photo, painted):
    assert isinstance(painted, np.ndarray)
    assert painted.shape == photo.shape
    assert painted.dtype == np.uint8
    tensor = torch.from_numpy(photo).permute(2, 0, 1)
    before = tensor.clone()
    result = model(tensor, style)
    assert isinstance(result, torch.Tensor)
    assert torch.equal(tensor, before)
    assert np.array_equal(result.permute(1, 2, 0).numpy(), painted)
    batch = model(torch.stack([tensor, tensor.flip(-1)]), style)
    assert torch.equal(batch[0], result)
    assert torch.equal(batch[1], model(tensor.flip(-1), style))
    rows = model(np.stack([photo, photo[:, ::-1]]), style)
    assert np.array_equal(rows[0], painted)
    assert np.array_equal(rows[1], batch[1].permute(1, 2, 0).numpy())


@pytest.mark.slow
@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.uint16, torch.float16, torch.float32, torch.float64]
)
def test_every_dtype_comes_back(model, style, photo, painted, dtype):
    content = from_unit(to_unit(torch.from_numpy(photo)), dtype)
    as_tensor = model(content.permute(2, 0, 1), style)
    assert as_tensor.dtype == dtype
    as_array = model(content.numpy(), style)
    assert as_array.dtype == content.numpy().dtype
    assert np.array_equal(as_tensor.permute(1, 2, 0).numpy(), as_array)
    left = np.zeros(SIZE, bool)
    left[:, :20] = True
    partly = model(content.numpy(), style, stats="exact", strength=0.5, mask=left, tile_size=32)
    assert np.array_equal(partly[:, 20:], content.numpy()[:, 20:])
    assert not np.array_equal(partly[:, :20], content.numpy()[:, :20])
    # float16 holds 11 bits of the content, which the network magnifies.
    tolerance = 0.02 if dtype == torch.float16 else 1.01 / 255
    assert np.abs(to_unit(as_tensor).permute(1, 2, 0).numpy() - painted / 255).max() <= tolerance


def test_other_byte_order_and_read_only_arrays(model, style, photo):
    wide = photo.astype(np.uint16) * 257
    expected = model(wide, style)
    swapped = wide.astype(">u2")
    swapped.setflags(write=False)
    assert np.array_equal(model(swapped, style), expected)


def test_a_tensor_with_a_gradient_is_left_alone(model, style):
    content = torch.rand(3, 32, 40, requires_grad=True)
    result = model(content, style)
    assert not result.requires_grad
    assert content.grad is None


@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 1)])
def test_gray_becomes_color(model, style, photo, shape):
    gray = np.ascontiguousarray(photo[..., :1]).reshape(shape)
    expected = model(np.repeat(photo[..., :1], 3, axis=2), style)
    assert np.array_equal(model(gray, style), expected)
    tensor = torch.from_numpy(photo[..., :1].copy()).permute(2, 0, 1)
    assert np.array_equal(model(tensor, style).permute(1, 2, 0).numpy(), expected)


def test_alpha_is_carried_over(model, style, photo, painted):
    alpha = np.arange(SIZE[0] * SIZE[1]).reshape(*SIZE, 1).astype(np.uint8)
    result = model(np.concatenate([photo, alpha], axis=2), style)
    assert np.array_equal(result[..., 3:], alpha)
    assert np.array_equal(result[..., :3], painted)
    image = model(Image.fromarray(np.concatenate([photo, alpha], axis=2)), style)
    assert image.mode == "RGBA"
    assert np.array_equal(np.asarray(image), result)


def test_a_strength_of_0_is_the_content(model, style, photo):
    assert np.array_equal(model(photo, style, strength=0.0), photo)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "result_mode"),
    [
        *(("RGB", "RGB"), ("L", "RGB"), ("1", "RGB"), ("P", "RGB"), ("CMYK", "RGB")),
        *(("YCbCr", "RGB"), ("HSV", "RGB")),
        *(("RGBA", "RGBA"), ("LA", "RGBA"), ("PA", "RGBA"), ("RGBa", "RGBA")),
    ],
)
def test_images_of_every_mode(model, style, photo, mode, result_mode):
    rgb = Image.fromarray(photo)
    image = rgb.convert("RGBA").convert(mode) if mode in ("PA", "RGBa") else rgb.convert(mode)
    expected = model(np.asarray(image.convert(result_mode)), style)
    result = model(image, style)
    assert result.mode == result_mode
    assert result.size == image.size
    assert np.array_equal(np.asarray(result), expected)


def test_an_image_in_lab_is_brought_to_srgb(model, style, photo, painted):
    srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
    transform = ImageCms.buildTransform(srgb, lab, "RGB", "LAB")
    image = ImageCms.applyTransform(Image.fromarray(photo), transform)
    result = model(image, style)
    assert result.mode == "RGB"
    assert "icc_profile" not in result.info
    # LAB of 8 bits is coarser than sRGB.
    assert np.abs(np.asarray(result).astype(int) - painted).mean() < 4


def test_gray_images_of_16_bits_and_floats(model, style, photo):
    gray = photo[..., 0].astype(np.uint16) * 257 + 3
    expected = from_unit(to_unit(torch.from_numpy(model(gray, style))), torch.uint8).numpy()
    for image in (Image.fromarray(gray), Image.fromarray(gray.astype(np.int32))):
        assert image.mode in ("I;16", "I")
        result = model(image, style)
        assert result.mode == "RGB"
        assert np.array_equal(np.asarray(result), expected)
    floating = model(Image.fromarray((gray / 65535).astype(np.float32)), style)
    difference = np.abs(np.asarray(floating).astype(int) - expected.astype(int))
    assert difference.max() <= 1


def test_a_transparent_palette_has_alpha(model, style, photo):
    image = Image.fromarray(photo).quantize(16)
    image.info["transparency"] = 3
    result = model(image, style)
    assert np.array_equal(
        np.asarray(result.getchannel("A")), np.asarray(image.convert("RGBA").getchannel("A"))
    )


def test_the_orientation_is_applied_and_metadata_kept(files, model, style, photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a lake"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo).save("turned.png", exif=exif, icc_profile=profile, dpi=(72, 300))
    turned = model(np.ascontiguousarray(np.rot90(photo, -1)), style)
    with Image.open("turned.png") as image:
        results = [model(image, style), model("turned.png", style)]
    for result in results:
        assert result.size == (SIZE[0], SIZE[1])
        assert np.array_equal(np.asarray(result), turned)
        assert result.info["icc_profile"] == profile
        assert result.getexif().get(0x0112, 1) == 1
        assert result.getexif()[0x010E] == "a lake"
        result.save("painted.jpg", exif=result.info["exif"])
        with Image.open("painted.jpg") as saved:
            assert saved.getexif().get(0x0112, 1) == 1
    assert files.joinpath("painted.jpg").is_file()


def test_a_gray_profile_and_a_cmyk_one_are_applied(model, style, photo):
    gray = Image.fromarray(photo).convert("L")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gray.info["icc_profile"] = profile[:16] + b"GRAY" + profile[20:]
    with pytest.raises(urst.URSTError, match="a color profile for 'GRAY' cannot be applied"):
        model(gray, style)
    gray.info["icc_profile"] = profile[:16] + b"CMYK" + profile[20:]
    with pytest.raises(urst.URSTError, match=r"profile for 'CMYK' cannot .* mode L"):
        model(gray, style)


@pytest.mark.slow
def test_a_path_gives_an_image(files, model, style):
    with Image.open("photo.jpg") as image:
        expected = np.asarray(model(image, style))
    for path in ("photo.jpg", files / "photo.jpg"):
        result = model(path, style)
        assert result.mode == "RGB"
        # Two decoders of JPEG need not round alike.
        assert np.abs(np.asarray(result).astype(int) - expected).mean() < 1


@pytest.mark.usefixtures("files")
def test_paths_without_libvips_go_through_pillow(model, photo, monkeypatch):
    with Image.open("photo.jpg") as image, Image.open("painting.jpg") as painting:
        expected = model(image, painting)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    result = model("photo.jpg", "painting.jpg")
    assert np.array_equal(np.asarray(result), np.asarray(expected))
    np.save("photo.npy", photo)
    assert model("photo.npy", "painting.jpg").size == (SIZE[1], SIZE[0])
    with open("broken.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(urst.URSTError, match=r"picture broken.png cannot be read \(.*\); use a"):
        model("broken.png", "painting.jpg")
    with pytest.raises(urst.URSTError, match=r"picture none\.png does not exist"):
        model("photo.jpg", "none.png")


# --- styles, masks, options ----------------------------------------------------------------------


@pytest.mark.slow
def test_styles_of_every_kind(files, model, photo, painting, painted):
    rgba = np.concatenate([painting, np.full((*painting.shape[:2], 1), 255, np.uint8)], axis=2)
    tensor = torch.from_numpy(painting).permute(2, 0, 1)
    np.save("painting.npy", painting)
    for kind in (
        *(painting, rgba, tensor, tensor[None], Image.fromarray(painting), Image.fromarray(rgba)),
        *("painting.npy", files / "painting.npy", urst.TensorSource(tensor), [painting]),
    ):
        assert np.array_equal(model(photo, kind), painted)
    assert np.array_equal(urst.stylize(photo, painting, device="cpu"), painted)


def test_a_transparent_style_is_laid_on_white(painting):
    clear = np.concatenate([painting, np.zeros((*painting.shape[:2], 1), np.uint8)], axis=2)
    source = read_style(clear)
    assert source.channels == 3
    assert source.size == painting.shape[:2]
    assert bool((source.read(Rectangle.of_size(source.size)) == 255).all())


def test_mixtures_weigh_their_styles(model, photo, style, painting, painted):
    other = noise(40, 50, 3, seed=8)
    assert np.array_equal(model(photo, [painting, other], weights=[3, 0]), painted)
    assert np.array_equal(model(photo, [style, other], weights=[1, 0]), painted)
    mixed = model.encode([painting, other], weights=[2, 1])
    again = model.encode([style, model.encode(other)], weights=[4, 2])
    for name, value in mixed.tensors.items():
        assert torch.allclose(value, again.tensors[name], atol=1e-6)
    with pytest.raises(urst.URSTError, match="2 styles with 1 weights"):
        model(photo, [painting, other], weights=[1])


def test_style_files_are_styles(model, style, photo, painted, tmp_path):
    path = tmp_path / "a.style.safetensors"
    saved = urst.SavedStyle(style, model.name, "A")
    saved.save(path)
    for kind in (path, str(path), [path], saved):
        assert np.array_equal(model(photo, kind), painted)
    mixed, expected = (model.encode([one, photo], weights=[1, 2]) for one in (path, style))
    for name, value in expected.tensors.items():
        assert torch.equal(mixed.tensors[name], value)


def test_a_style_of_other_weights_is_refused(model, photo, random_backbones, painting):
    other = Model(random_backbones["linear_r31"]).encode(painting)
    message = r"encoded with weights \w{12} does not fit weights \w{12}; encode it with the"
    for styles in (other, [painting, other]):
        with pytest.raises(urst.URSTError, match=message):
            model(photo, styles)


def test_measured_statistics_serve_several_pictures(model, photo, style, painted):
    stats = model.measure(photo, style)
    assert np.array_equal(model(photo, stats), painted)
    part = model(photo[:, :32], stats)
    assert not np.array_equal(part, model(photo[:, :32], style))
    weak = model.measure(photo, style, strength=0.5)
    assert np.array_equal(model(photo, weak), model(photo, style, strength=0.5))
    with pytest.raises(urst.URSTError, match="weights and strength are part of measured"):
        model(photo, stats, strength=0.5)
    with pytest.raises(urst.URSTError, match="a batch of 2 cannot be measured"):
        model.measure(np.stack([photo, photo]), style)


def test_large_strokes_take_several_passes(model, style, photo, painted):
    large = model(photo, style, strokes=2, thumbnail_size=32, brushwork=0)
    assert not np.array_equal(large, painted)
    preview = model(photo, style, thumbnail_size=32, brushwork=0)
    assert np.array_equal(large, preview)
    fine = model(photo, style, strokes="fine", thumbnail_size=32)
    stats = model.measure(photo, style, thumbnail_size=32)
    assert np.array_equal(model(photo, stats, thumbnail_size=32), fine)
    message = "strokes 2 cannot be shared by several pictures; pass strokes='fine'"
    for given, options in ((style, {"strokes": 2}), (stats, {"strokes": 2})):
        call = model.measure if given is style else model
        with pytest.raises(urst.URSTError, match=message):
            call(photo, given, **options)


@pytest.mark.slow
def test_a_batch_is_measured_together_if_asked_to(model, style, photo):
    night = photo // 4
    video = np.stack([photo, night])
    alone = model(video, style)
    assert np.array_equal(alone[0], model(photo, style))
    for options in ({}, {"thumbnail_size": 32, "seed": 5}):
        shared = model(video, style, batch_statistics="shared", **options)
        assert not np.array_equal(shared[0], model(photo, style, **options))
        again = model(video[::-1], style, batch_statistics="shared", **options)
        assert np.abs(again[::-1].astype(int) - shared).max() <= 1
    smoothed = urst.stylize(video, style, backbone=model, batch_statistics="smoothed")
    assert not np.array_equal(smoothed, alone)
    with pytest.raises(urst.URSTError, match="batch statistics 'joint' are unknown"):
        model(video, style, batch_statistics="joint")


@pytest.mark.slow
def test_masks_of_every_kind(model, style, photo, painted):
    inside = np.zeros(SIZE, bool)
    inside[10:30, 20:50] = True
    expected = np.where(inside[..., None], painted, photo)
    grays = inside.astype(np.uint8) * 255
    for mask in (
        *(inside, grays, inside.astype(np.float32), grays[..., None]),
        *(torch.from_numpy(inside), torch.from_numpy(grays), torch.from_numpy(grays)[None]),
        *(Image.fromarray(inside), Image.fromarray(grays)),
    ):
        assert np.array_equal(model(photo, style, mask=mask), expected)
    soft = model(photo, style, mask=inside, mask_feather=8)
    assert np.array_equal(soft[~inside], photo[~inside])
    assert not np.array_equal(soft, expected)
    with pytest.raises(urst.URSTError, match="mask of 10 x 10 px"):
        model(photo, style, mask=grays[:10, :10])


@pytest.mark.slow
def test_settings_are_passed_on(model, style, photo, painted):
    assert np.array_equal(model(photo, style, tile_size=16, device=torch.device("cpu")), painted)
    exact = model(photo, style, stats="exact")
    assert np.array_equal(exact, model(photo, style, thumbnail_size=0))
    small = urst.load_backbone(thumbnail_size=32, device="cpu")
    assert np.array_equal(small(photo, style), model(photo, style, thumbnail_size=32))
    assert not np.array_equal(small(photo, style), painted)
    with pytest.raises(urst.URSTError, match="tile size 17"):
        model(photo, style, tile_size=17)


def test_progress_is_reported_and_can_cancel(model, style, photo, capsys):
    told: list[urst.Progress] = []
    model(photo, style, tile_size=32, progress=told.append)
    assert told[-1].tiles_done == told[-1].tiles_total == 4

    def stop(progress):
        if progress.tiles_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(photo, style, tile_size=32, progress=stop)
    assert capsys.readouterr().err == ""
    model(photo, style, progress=True)
    assert "tile 1/1" in capsys.readouterr().err


def test_parts_are_read_and_written(model, style, photo, painted):
    source = urst.TensorSource(torch.from_numpy(photo).permute(2, 0, 1))
    canvas = urst.TensorCanvas(source.size)
    model.write(source, style, canvas, tile_size=16)
    assert np.array_equal(canvas.pixels.permute(1, 2, 0).numpy(), painted)


def test_repr_of_a_model(model):
    assert model.name == "microast"
    assert model.styles == ()
    assert repr(model) == f"Model(settings={model.settings!r})"


def test_every_backbone_is_listed():
    assert urst.list_backbones()[0] == "microast"
    assert len(urst.list_backbones()) >= 11


@pytest.mark.usefixtures("files")
def test_styles_inside_weights(random_backbones, photo):
    model = Model(random_backbones["johnson"])
    [name] = model.styles
    result = model(photo)
    assert np.array_equal(model(photo, name), result)
    with pytest.raises(urst.URSTError, match=r"has no style 'painting\.jpg'"):
        model(photo, "painting.jpg")


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_file_to_file(files, model):
    told: list[str] = []
    output = urst.stylize_file(
        "photo.jpg",
        ["painting.jpg", "other.jpg"],
        files / "painted.png",
        weights=[1, 0],
        backbone=model,
        progress=lambda progress: told.append(progress.stage),
    )
    assert output == files / "painted.png"
    assert {"tiles", "encoding"} <= set(told)
    with Image.open(output) as image:
        expected = model("photo.jpg", "painting.jpg")
        assert np.array_equal(np.asarray(image), np.asarray(expected))
    with pytest.raises(urst.URSTError, match="exists; choose another name"):
        urst.stylize_file("photo.jpg", "painting.jpg", output, backbone=model)
    urst.stylize_file("photo.jpg", "painting.jpg", output, backbone=model, overwrite=True)


@pytest.mark.slow
def test_from_video_to_video(files, model):
    told: list[str] = []
    output = urst.stylize_video(
        "clip.mp4",
        ["painting.jpg", "other.jpg"],
        files / "painted.mp4",
        weights=[0, 1],
        backbone=model,
        strokes="fine",
        progress=lambda progress: told.append(progress.stage),
    )
    assert output == files / "painted.mp4"
    assert "frames" in told
    assert Clip.open(output).count == 3
    paintings, settings = ["painting.jpg", "other.jpg"], urst.Settings(strokes="fine", device="cpu")
    other = files / "other.mp4"
    ClipRun(
        Path("clip.mp4"), paintings, other, model.backbone, settings, style_weights=[0, 1]
    ).run()
    assert output.read_bytes() == other.read_bytes()
    with pytest.raises(urst.URSTError, match="exists; choose another name"):
        urst.stylize_video("clip.mp4", "painting.jpg", output, backbone=model)


def test_prints_and_results_without_a_description(files, model):
    options = {"backbone": model, "strokes": "fine", "overwrite": True}
    for metadata in (False, True):
        output = urst.stylize_file(
            "photo.jpg",
            "painting.jpg",
            files / "card.png",
            print_size="2x2in",
            dpi=20,
            fit="contain",
            metadata=metadata,
            **options,
        )
        with Image.open(output) as image:
            photo = Image.open("photo.jpg")
            assert max(image.size) == 40
            assert image.width * photo.height == pytest.approx(image.height * photo.width, rel=0.03)
            assert image.info["dpi"] == pytest.approx((20, 20), abs=0.02)
            assert ("urst" in image.text) == metadata
    urst.stylize_file("photo.jpg", "painting.jpg", output, dpi=72, **options)
    with Image.open(output) as image:
        assert image.size == photo.size
        assert image.info["dpi"] == pytest.approx((72, 72), abs=0.02)


def test_prints_that_cannot_be_made(files, model):
    def refused(**options):
        with pytest.raises(urst.URSTError) as error:
            urst.stylize_file(
                "photo.jpg", "painting.jpg", files / "a.png", backbone=model, **options
            )
        return str(error.value)

    assert refused(print_size="big").startswith("print size 'big' is not WIDTHxHEIGHT with a unit")
    assert refused(dpi=0.5) == "dpi 0.5 is out of range; use 1 to 10000"
    assert refused(fit="contain") == "fit contain needs a size of the print; give print_size"
    with pytest.raises(urst.URSTError, match="print size 1x1cm does not work with maps of styles"):
        urst.stylize_file(
            "photo.jpg",
            ["painting.jpg", "other.jpg"],
            files / "a.png",
            backbone=model,
            mix_map="photo.jpg",
            print_size="1x1cm",
        )


@pytest.mark.slow
def test_an_interrupted_run_is_resumed(files, model):
    class StoppedError(Exception):
        pass

    def stop(progress):
        if progress.stage == "tiles" and progress.tiles_done == 2:
            raise StoppedError

    arguments = ("photo.jpg", "painting.jpg", files / "painted.png")
    with pytest.raises(StoppedError):
        urst.stylize_file(*arguments, backbone=model, tile_size=16, progress=stop)
    assert not (files / "painted.png").exists()
    with pytest.raises(urst.URSTError, match="was interrupted"):
        urst.stylize_file(*arguments, backbone=model, tile_size=16, if_interrupted="refuse")
    first: list[int] = []

    def note(progress):
        if progress.stage == "tiles":
            first.append(progress.tiles_done)

    urst.stylize_file(*arguments, backbone=model, tile_size=16, progress=note)
    assert first[0] >= 2
    with Image.open(files / "painted.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(model("photo.jpg", "painting.jpg")))


# --- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"channels come last in arrays: .*transpose\(1, 2, 0\)"),
        (np.zeros((20, 30, 2), np.uint8), r"array of shape \(20, 30, 2\) is not a picture"),
        (np.zeros((0, 30, 3), np.uint8), r"array of shape \(0, 30, 3\) is not a picture"),
        (np.zeros((0, 20, 30, 3), np.uint8), "is empty; pass at least one picture"),
        (np.zeros((20, 30), bool), "array of bool values is not a picture; it looks like a mask"),
        (np.zeros((20, 30), np.int64), r"array of int64 values .*; pass uint8 \(0 to 255\)"),
        (np.full((20, 30), 255.0), r"from 255 to 255 are not a picture; bring them to 0\.\.1"),
        (torch.zeros(20, 30, 3), r"channels come first in tensors: .*permute\(2, 0, 1\)"),
        (torch.zeros(20, 30), r"tensor of shape \(20, 30\) is not a picture"),
        (torch.zeros(0, 3, 20, 30), r"tensor of shape \(0, 3, 20, 30\) is not a picture"),
        (torch.zeros(3, 20, 30, dtype=torch.bool), "torch.bool values .* it looks like a mask"),
        (torch.zeros(3, 20, 30, dtype=torch.int32), "torch.int32 values is not a picture; pass"),
        (torch.full((3, 20, 30), float("nan")), "row 0, column 0 is NaN or infinite"),
        (Image.fromarray(np.full((20, 30), 70000, np.int32)), "mode I has values from 70000 to"),
    ],
)
def test_contents_that_are_refused(model, style, content, message):
    with pytest.raises(urst.URSTError, match=message):
        model(content, style)


def test_invalid_pictures_are_type_errors(model, style, photo):
    for wrong in ([photo, photo], None, 3, {"photo": photo}):
        with pytest.raises(TypeError, match=f"{type(wrong).__name__} is not a kind of picture"):
            model(wrong, style)
    with pytest.raises(TypeError, match="int is not a kind of picture; pass a Pillow image"):
        model(photo, 7)


def test_options_that_do_not_exist(style, photo):
    with pytest.raises(TypeError, match="'tilesize' is not an option; did you mean 'tile_size'"):
        urst.stylize(photo, style, tilesize=512)
    with pytest.raises(TypeError, match="'quality' is not an option; use thumbnail_size, "):
        urst.load_backbone(quality=3)
    with pytest.raises(urst.URSTError, match="if_interrupted 'never' is unknown; use resume, rest"):
        urst.stylize_file("a", "b", "c", if_interrupted="never")
    with pytest.raises(urst.URSTError, match="if_interrupted 'never' is unknown; use resume, rest"):
        urst.stylize_video("a", "b", "c", if_interrupted="never")


def test_files_are_confirmed_for_content_style_and_mask(photo, tmp_path, model, monkeypatch):
    """A path may be a small file that unpacks to a giant; the error's remedy is an argument."""
    monkeypatch.setattr(vips_loader, "SUSPICIOUS_BYTES", 1)
    monkeypatch.setattr(vips_loader, "SUSPICIOUS_RATIO", 0)
    path = tmp_path / "small.png"
    Image.fromarray(photo).save(path)
    for arguments in ((path, photo), (photo, path), (photo, [photo, path])):
        with pytest.raises(urst.URSTError, match="pass any_size=True"):
            urst.stylize(*arguments, backbone=model)
        assert urst.stylize(*arguments, backbone=model, any_size=True) is not None
    with pytest.raises(urst.URSTError, match="pass any_size=True"):
        urst.stylize(photo, photo, mask=path, backbone=model)
    masked = urst.stylize(photo, photo, mask=path, backbone=model, any_size=True)
    assert masked.shape == photo.shape


@pytest.mark.slow
def test_strict_refuses_a_damaged_file(photo, tmp_path, model):
    path = tmp_path / "damaged.jpg"
    large = Image.fromarray(photo).resize((640, 480))
    large.save(path, quality=95, progressive=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 60] = bytes(60)
    path.write_bytes(content)
    for arguments in ((path, photo), (photo, path)):
        with pytest.raises(urst.URSTError, match="damaged"):
            urst.stylize(*arguments, backbone=model, strict=True)
        assert urst.stylize(*arguments, backbone=model) is not None
