"""Stylize File with the stub: the same pixels as Stylize Image, and no lost work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from examples import load_picture, picture, save_picture, stored_picture
from PIL import Image

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
FILE = {
    "content": "a.tif",
    "output_name": "sub/painted",
    "file_format": "TIFF",
    "quality": 90,
    "resume": True,
    "overwrite": True,
    "tile_size": 64,
}
SIZE = (120, 200)

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("inference_mode")


@pytest.fixture
def style():
    return picture((80, 70), seed=2).permute(1, 2, 0).unsqueeze(0)


@pytest.fixture
def stylize(call, backbone, style, base):
    save_picture(base / "input" / "a.tif", stored_picture(SIZE, seed=1))
    return lambda **inputs: call(
        "StylizeFile", **({"backbone": backbone, "style": style, **LOOK, **FILE} | inputs)
    )


def files_in(base: Path) -> list[str]:
    """All files below ComfyUI's output and temp folders."""
    folders = (base / "output", base / "temp")
    return sorted(
        path.relative_to(base).as_posix()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    )


def cancel_after(host, steps):
    host.progress.clear()
    host.cancel_at = steps


@pytest.mark.slow
@pytest.mark.parametrize("look", [{}, {"strength": 0.5}, {"statistics": "exact"}], ids=str)
def test_a_file_gets_the_pixels_of_stylize_image(stylize, call, backbone, style, base, shown, look):
    before = style.clone()
    output = stylize(**look)
    path, preview = output
    assert path == str(base / "output" / "sub" / "painted.tif")
    assert output.ui["files"] == [{"filename": "painted.tif", "subfolder": "sub", "type": "output"}]
    assert output.ui["text"] == ["sub/painted.tif"]
    content = (load_picture(base / "input" / "a.tif").float() / 255).permute(1, 2, 0)[None]
    [expected] = call(
        "StylizeImage",
        backbone=backbone,
        content=content,
        style=style,
        tile_size=64,
        **(LOOK | look),
    )
    stored = load_picture(Path(path))
    assert stored.dtype == torch.uint8
    expected = expected[0].permute(2, 0, 1)
    assert float((stored.float() / 255 - expected).abs().max()) <= 0.5 / 255 + 1e-4
    torch.testing.assert_close(preview[0].permute(2, 0, 1), stored.float() / 255, rtol=0, atol=1e-5)
    assert float((shown(output) - preview).abs().mean()) < 0.1
    [small] = output.ui["images"]
    assert small["type"] == "temp"
    assert files_in(base) == ["output/sub/painted.tif", f"temp/{small['filename']}"]
    assert torch.equal(style, before)


@pytest.mark.slow
def test_depth_and_alpha_of_the_content_are_kept(stylize, base):
    pixels = stored_picture(SIZE, torch.uint16, seed=1, channels=4)
    save_picture(base / "output" / "deep.png", pixels)
    path, _ = stylize(content="deep.png [output]", file_format="PNG")
    assert path.endswith("painted.png")
    stored = load_picture(Path(path))
    assert stored.dtype == torch.uint16
    assert torch.equal(stored[3], pixels[3])
    with pytest.raises(Exception, match=r"JPEG has 8 bits a channel, the picture 16; use \.png"):
        stylize(content="deep.png [output]", file_format="JPEG")


@pytest.mark.slow
def test_the_page_sees_the_picture_fill(stylize, host, part, monkeypatch):
    monkeypatch.setattr(part("nodes.progress"), "SECONDS_BETWEEN_PREVIEWS", 0.0)
    _, preview = stylize()
    kind, last, longest = host.previews[-1]
    assert (kind, last.size, longest) == ("JPEG", SIZE[::-1], None)
    finished = (preview[0] * 255).round().to(torch.uint8)
    assert last.tobytes() == bytes(finished.numpy().tobytes())
    shares = [
        sum(pixel != 0 for pixel in image.convert("L").tobytes()) for _, image, _ in host.previews
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.3 * shares[-1]
    done = [value for value, _ in host.progress]
    assert done[-1] == host.progress[-1][1]


@pytest.mark.slow
def test_previews_are_sent_now_and_then_and_at_the_end(stylize, host, part, monkeypatch):
    monkeypatch.setattr(part("nodes.progress"), "SECONDS_BETWEEN_PREVIEWS", 1000.0)
    _, preview = stylize()
    assert len(host.previews) == 2
    # Pages keep showing it when the node is done.
    finished = (preview[0] * 255).round().to(torch.uint8)
    assert host.previews[-1][1].tobytes() == bytes(finished.numpy().tobytes())


class Interrupt(BaseException):
    """ComfyUI's may become one."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RuntimeError, Interrupt])
def test_a_cancelled_run_resumes_to_the_same_file(stylize, host, base, kind):
    whole = Path(stylize(output_name="whole")[0]).read_bytes()
    host.cancelled = kind
    cancel_after(host, 5)
    with pytest.raises(kind):
        stylize()
    assert not (base / "output" / "sub" / "painted.tif").exists()
    assert host.emptied == 2
    cancel_after(host, None)
    path, preview = stylize()
    assert Path(path).read_bytes() == whole
    assert host.progress[0][0] > 0
    expected = load_picture(Path(path)).float() / 255
    torch.testing.assert_close(preview[0].permute(2, 0, 1), expected, rtol=0, atol=1e-5)
    assert results_in(base) == ["sub/painted.tif", "whole.tif"]


@pytest.mark.slow
def test_pictures_are_closed_however_a_run_ends(stylize, host, part, monkeypatch):
    image_file, closed = part("urst_core.formats.image_file").ImageFile, []
    monkeypatch.setattr(image_file, "close", lambda source: closed.append(source.path.name))
    cancel_after(host, 5)
    with pytest.raises(host.cancelled):
        stylize()
    assert closed[-2:] == ["a.tif", "0.tif"]  # the content, and the style as a file
    cancel_after(host, None)
    stylize()
    assert closed.count("0.tif") == 2
    assert closed[-2:] == ["a.tif", "0.tif"]


@pytest.mark.slow
def test_without_resume_a_cancelled_run_begins_again(stylize, host, base):
    cancel_after(host, 5)
    with pytest.raises(host.cancelled):
        stylize()
    cancel_after(host, None)
    stylize(resume=False, strength=0.5)
    assert host.progress[0][0] == 0
    assert results_in(base) == ["sub/painted.tif"]


@pytest.mark.slow
def test_a_run_with_other_settings_gets_a_new_file_and_the_same_one_resumes(stylize, host, base):
    cancel_after(host, 5)
    with pytest.raises(host.cancelled):
        stylize(overwrite=False)
    cancel_after(host, None)
    path, _ = stylize(overwrite=False, strength=0.5)
    assert Path(path).name == "painted_00002_.tif"
    host.progress.clear()
    path, _ = stylize(overwrite=False)
    assert Path(path).name == "painted_00001_.tif"
    assert host.progress[0][0] > 0
    assert results_in(base) == ["sub/painted_00001_.tif", "sub/painted_00002_.tif"]


@pytest.mark.slow
def test_start_over_discards_interrupted_runs_of_that_name(stylize, host, base):
    cancel_after(host, 5)
    with pytest.raises(host.cancelled):
        stylize(overwrite=False)
    cancel_after(host, None)
    path, _ = stylize(overwrite=False, resume=False)
    assert Path(path).name == "painted_00002_.tif"
    assert host.progress[0][0] == 0
    assert results_in(base) == ["sub/painted_00002_.tif"]


@pytest.mark.slow
def test_files_are_numbered_and_named_as_core_does(stylize, base):
    names = [
        Path(stylize(overwrite=False, output_name=name, strength=strength)[0])
        for name, strength in (("sub/a", 1.0), ("sub/a", 0.5), ("%year%/%width%x%height%.jpg", 1.0))
    ]
    output = base / "output"
    assert names == [
        output / "sub" / "a_00001_.tif",
        output / "sub" / "a_00002_.tif",
        output / "2024" / "200x120_00001_.tif",
    ]
    [exact, _] = stylize(overwrite=True, output_name="sub/a_00001_")
    assert Path(exact) == names[0]


@pytest.mark.slow
def test_a_region_to_try_has_the_pixels_of_the_whole(stylize, shown):
    whole, _ = stylize()
    output = stylize(overwrite=False, crop_width=70, crop_height=50, crop_left=90, crop_top=30)
    part = load_picture(Path(output[0]))
    assert torch.equal(part, load_picture(Path(whole))[:, 30:80, 90:160])
    assert output[1].shape == (1, 50, 70, 3)
    assert shown(output).shape == (1, 50, 70, 3)


@pytest.mark.parametrize(
    ("inputs", "size", "dpi", "is_described"),
    [
        (
            {"print_size": "2x1in", "dpi": 30.0, "fit": "contain", "strokes": 1.0},
            (50, 30),
            30,
            True,
        ),
        ({"print_size": "2x1in", "dpi": 30.0, "strokes": 1.0}, (60, 30), 30, True),
        ({"dpi": 72.0, "metadata": False, "strokes": 1.0}, (200, 120), 72, False),
    ],
)
def test_prints_and_metadata(stylize, inputs, size, dpi, is_described):
    output = stylize(file_format="PNG", **inputs)
    with Image.open(output[0]) as image:
        assert image.size == size
        assert image.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)
        assert ("urst" in image.text) == is_described


def test_prints_are_validated_before_anything_runs(part):
    complaint = part("nodes.file_inputs").complaint_about_print
    assert complaint(None, None) is complaint("", 0.0) is complaint("10x15cm", 300.0) is True
    assert complaint("10x15", 0.0) == (
        "print size '10x15' is not WIDTHxHEIGHT with a unit; use mm, cm or in: 100x70cm"
    )
    assert complaint("", 0.5) == "dpi 0.5 is out of range; use 1 to 10000"


def results_in(base: Path) -> list[str]:
    """All files below ComfyUI's output folder, those of work folders, too."""
    output = base / "output"
    return sorted(p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file())


def test_errors_name_inputs(part, errors):
    naming_inputs = part("nodes.remedies").naming_inputs
    change, command, install = errors.Change, errors.Command, errors.Install
    with pytest.raises(errors.DeviceError) as told, naming_inputs():
        raise errors.DeviceError(
            "9 GB are too many",
            "close other programs",
            change("tile_size", 512),
            change("style_size", how="lower"),
            change("weights", how="give a safetensors file as"),
            command("urst weights list", how="see"),
            install('"pyvips[binary]"', how="on every machine:"),
        )
    assert str(told.value) == (
        "9 GB are too many; close other programs, or set tile_size to 512, or lower style_size, or "
        "put a safetensors file into models/urst and choose it, or see "
        f"'{sys.executable} -m urst_core weights list' in the folder {ROOT}, or on every machine: "
        f'{sys.executable} -m pip install "pyvips[binary]"'
    )
    with pytest.raises(errors.WeightsError) as told, naming_inputs():
        raise errors.WeightsError("no", command("urst weights convert FILES", how="convert with"))
    assert str(told.value).endswith("convert them with the node Convert Weights")
    with pytest.raises(ValueError, match=r"^tile_size$"), naming_inputs():
        raise ValueError("tile_size")


def test_paths_outside_are_refused(stylize, nodes, errors):
    with pytest.raises(errors.ImageError, match=r"is outside the folder"):
        stylize(content="../a.tif")
    with pytest.raises(errors.OutputError, match=r"is outside the folder"):
        stylize(output_name="../painted")
    node = nodes["URSTStylizeFile"]
    assert "is outside the folder" in node.validate_inputs(content="../a.tif")
    assert node.validate_inputs(content="a.tif") is True
    assert node.validate_inputs() is True
    assert "is outside the folder" in node.validate_inputs(output_name="../painted")
    assert "tile_size 4 is out of range; use 64 to" in node.validate_inputs(tile_size=4)
    assert node.validate_inputs(output_name="a", file_format="JPEG", tile_size=64) is True


def test_a_replaced_content_changes_the_fingerprint(stylize, nodes, base):
    assert stylize
    node = nodes["URSTStylizeFile"]
    first = node.fingerprint_inputs(**FILE)
    save_picture(base / "input" / "a.tif", stored_picture((10, 10)))
    assert node.fingerprint_inputs(**FILE) != first


@pytest.mark.slow
def test_several_styles_and_alpha_of_styles(stylize, call, backbone, style, base):
    clear = torch.cat([style, torch.zeros_like(style[..., :1])], dim=-1)
    path, _ = stylize(style=clear, style_2=torch.cat([style, 1 - style]), style_2_weight=0.75)
    content = (load_picture(base / "input" / "a.tif").float() / 255).permute(1, 2, 0)[None]
    [expected] = call(
        "StylizeImage",
        backbone=backbone,
        content=content,
        style=clear,
        style_2=torch.cat([style, 1 - style]),
        style_2_weight=0.75,
        tile_size=64,
        **LOOK,
    )
    stored = load_picture(Path(path)).float() / 255
    assert float((stored - expected[0].permute(2, 0, 1)).abs().max()) <= 0.5 / 255 + 1e-3


def test_styles_inside_the_weights_are_named(part, base, backbone):
    with part("nodes.file_runs").style_files(["3", "12"], backbone) as styles:
        assert styles == ["3", "12"]
    assert files_in(base) == []


def test_a_style_becomes_a_file_of_the_same_values(part, base, backbone, style):
    source = part("urst_core.pictures.source").TensorSource(style[0].permute(2, 0, 1))
    with part("nodes.file_runs").style_files([source, source], backbone) as paths:
        assert files_in(base) == [Path(path).relative_to(base).as_posix() for path in paths]
        for path in paths:
            stored = load_picture(Path(path)).float() / 65535
            assert float((stored - source.pixels).abs().max()) <= 0.51 / 65535
    assert files_in(base) == []
