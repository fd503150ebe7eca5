"""``--regions`` and ``--mix-map``: runs, resuming, and what is refused."""

from __future__ import annotations

import pytest
import torch
from examples import load_picture, save_picture, stored_picture

from urst_core.cli.main import main
from urst_core.errors import SettingsError
from urst_core.method.pipeline import stylize
from urst_core.method.regions import Region, Regions, mix_along
from urst_core.pictures.color_names import parse_color
from urst_core.pictures.mask import PictureMask
from urst_core.pictures.region_map import ColorRegions
from urst_core.pictures.source import TensorCanvas, TensorSource, from_unit
from urst_core.runs.file_run import FileRun
from urst_core.runs.region_file import RegionFile, RegionStyle
from urst_core.tiling.settings import IfInterrupted, Settings

SIZE = (56, 88)
COMMON = ["--device", "cpu", "--thumbnail-size", "40", "--tile-size", "32", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_picture(tmp_path / "photo.png", stored_picture(SIZE, torch.uint16))
    save_picture(tmp_path / "one.png", stored_picture((64, 64), seed=3))
    save_picture(tmp_path / "other.png", stored_picture((64, 72), seed=4))
    pixels = torch.zeros(3, *SIZE, dtype=torch.uint8)
    pixels[0, :, :40] = 255
    pixels[2, :, 40:] = 255
    pixels[:, 40:, 70:] = 0
    save_picture(tmp_path / "map.png", pixels)
    gray = torch.linspace(0, 1, SIZE[1]).expand(3, *SIZE)
    save_picture(tmp_path / "gray.png", from_unit(gray, torch.uint8))
    return tmp_path


def painted_by_hand(folder, microast, styles_of, **settings):
    content = TensorSource(load_picture(folder / "photo.png"))
    styles = [TensorSource(load_picture(folder / name)) for name in ("one.png", "other.png")]
    canvas = TensorCanvas(SIZE, dtype=torch.uint16)
    chosen = Settings(thumbnail_size=40, tile_size=32, device="cpu", **settings)
    stylize(content, styles_of(styles), canvas, microast, chosen)
    return canvas.pixels


def regions_by_hand(folder, styles, feather=0):
    colors = [(255, 0, 0), (0, 0, 255)]
    map_ = ColorRegions.of(TensorSource(load_picture(folder / "map.png")), colors, feather)
    return Regions(map_, [Region([styles[0]]), Region([styles[1], styles[0]], [1, 1], 0.7)])


@pytest.mark.slow
def test_regions_from_the_command_line_with_strokes_and_16_bits(folder, microast):
    regions = ["--regions", "map.png", "--region-feather", "9", "--region-strength", "blue=0.7"]
    styles = ["red=one.png", "#0000ff=other.png", "blue=one.png"]
    command = ["stylize", "photo.png", "-o", "out.png", *regions, *COMMON]
    assert main([*command, *(part for style in styles for part in ("--region", style))]) == 0
    by_hand = painted_by_hand(folder, microast, lambda s: regions_by_hand(folder, s, feather=9))
    assert torch.equal(load_picture(folder / "out.png").int(), by_hand.int())


@pytest.mark.slow
def test_a_mix_map_from_the_command_line(folder, microast):
    command = ["stylize", "photo.png", "one.png", "other.png", "-o", "out.png", *COMMON]
    assert main([*command, "--mix-map", "gray.png", "--strokes", "fine"]) == 0
    gray = PictureMask(TensorSource(load_picture(folder / "gray.png")))
    by_hand = painted_by_hand(folder, microast, lambda s: mix_along(gray, s), strokes="fine")
    assert torch.equal(load_picture(folder / "out.png").int(), by_hand.int())


class Stop(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("strokes", ["fine", "preview"])
def test_an_interrupted_run_resumes_to_the_same_bytes(folder, microast, strokes):
    def run(output, feather=4):
        each = (RegionStyle((255, 0, 0), (0,)), RegionStyle((0, 0, 255), (1,), 0.5))
        return FileRun(
            folder / "photo.png",
            ["one.png", "other.png"],
            folder / output,
            microast,
            Settings(
                thumbnail_size=40, tile_size=24, device="cpu", strokes=strokes, colors="content"
            ),
            regions=RegionFile(folder / "map.png", each, feather),
        )

    run("whole.png").run()

    def stop(progress):
        if progress.stage == "tiles" and progress.tiles_done >= 9:
            raise Stop

    with pytest.raises(Stop):
        run("out.png").run(stop)
    with pytest.raises(Exception, match="region feather 4 px, not 5 px"):
        run("out.png", feather=5).run(if_interrupted=IfInterrupted.RESUME)
    run("out.png").run(if_interrupted=IfInterrupted.RESUME)
    assert (folder / "out.png").read_bytes() == (folder / "whole.png").read_bytes()


RED = ["--region", "red=one.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--regions", "map.png"],
            "region map map.png has no styles; give each color one, as in "
            "--region red=painting.jpg",
        ),
        (
            ["--regions", "map.png", *RED],
            "pixel at row 0, column 40 of the region map is #0000ff, which is not the color of a "
            "region; give it a style, or paint it black, to keep the content, or draw the map "
            "without smooth edges, and save it as PNG",
        ),
        (
            ["--regions", "map.png", *RED, "--region", "blue=one.png", "--region", "lime=one.png"],
            "no pixel of the region map is #00ff00; check the color, or leave that region out",
        ),
        (
            ["--regions", "one.png", *RED],
            "region map of 64 x 64 px (height x width) does not fit a picture of 56 x 88 px; "
            "resize the map to 56 x 88 px",
        ),
        (
            ["one.png", "--regions", "map.png", *RED],
            "style one.png has no region; name its color, as in --region red=one.png",
        ),
        (
            ["one.png", "--region-stats", "region"],
            "a map of regions is missing for statistics of each region; add --regions",
        ),
        (RED, "a map of regions is missing for --region red=one.png; add --regions"),
        (
            ["one.png", "--region-feather", "4"],
            "a map of regions is missing for a feather of 4 px between regions; add --regions",
        ),
        (
            ["--regions", "map.png", "--region", "red"],
            "--region 'red' is not COLOR=VALUE, as in red=painting.jpg",
        ),
        (
            ["--regions", "map.png", "--region", "rood=one.png"],
            "color 'rood' is unknown; use a name such as red, #rrggbb, or a gray of 0 to 255",
        ),
        (
            ["--regions", "map.png", *RED, "--region-strength", "blue=0.5"],
            "region #0000ff has a strength, but no style; give it a style, or leave the strength "
            "out",
        ),
        (
            ["--regions", "map.png", *RED, "--region-strength", "red=much"],
            "--region-strength red=much: 'much' is not a number; use 0 to 1",
        ),
        (
            ["--regions", "map.png", *RED, "--mix-map", "gray.png"],
            "--regions and --mix-map exclude each other; leave one out",
        ),
        (
            ["one.png", "other.png", "--mix-map", "gray.png", "--style-weights", "1", "2"],
            "styles that a map mixes have no weights; leave the weights out",
        ),
        (
            ["--regions", "map.png", *RED, "--region", "blue=one.png", "--style-weights", "1"],
            "2 styles with 1 weights; give one weight for each style",
        ),
        (
            ["--regions", "map.png", *RED, "--ray", "local"],
            "--regions map.png does not work on clusters; leave out --regions or --ray",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused_before_any_work(folder, capsys, options, message):
    assert main(["stylize", "photo.png", *options, "-o", "out.png", *COMMON]) == 1
    assert capsys.readouterr().err.strip() == f"urst: {message}"
    assert not (folder / "out.png").exists()


def test_a_map_fits_one_picture_only(folder, capsys):
    (folder / "results").mkdir()
    options = ["--mix-map", "gray.png", *COMMON]
    assert main(["stylize", ".", "one.png", "-o", "results", *options]) == 1
    assert capsys.readouterr().err.strip() == (
        "urst: --mix-map gray.png is the map of one picture; name one picture and one file"
    )


@pytest.mark.slow
def test_a_result_says_its_regions_and_like_wants_them_again(folder, capsys):
    styles = [*RED, "--region", "blue=other.png", "--strokes", "fine", "--region-stats", "region"]
    options = ["--regions", "map.png", *styles, *COMMON]
    assert main(["stylize", "photo.png", "-o", "out.png", *options]) == 0
    assert main(["describe", "out.png"]) == 0
    described = capsys.readouterr().out
    assert "regions: #ff0000 style 1 at 1.0; #0000ff style 2 at 1.0" in described
    assert "statistics of: each region" in described
    assert main(["stylize", "photo.png", "-o", "again.png", "--like", "out.png", *COMMON]) == 1
    assert capsys.readouterr().err.strip() == (
        "urst: out.png was painted with a map of its styles, which is not repeated; name the "
        "styles after CONTENT, or name a map with --regions or --mix-map, and its styles"
    )
    again = ["--regions", "map.png", *styles, "--like", "out.png", *COMMON]
    assert main(["stylize", "photo.png", "-o", "again.png", *again]) == 0
    assert (folder / "again.png").read_bytes() == (folder / "out.png").read_bytes()


def test_names_of_colors():
    assert parse_color("Navy") == (0, 0, 128)
    assert parse_color("#0F8") == (0, 255, 136)
    assert parse_color("7") == (7, 7, 7)
    for name in ("256", "-1", "#12", ""):
        with pytest.raises(SettingsError, match="is unknown"):
            parse_color(name)
