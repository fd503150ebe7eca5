"""``urst stylize --ray``: arguments and messages."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples import save_picture, stored_picture

from urst_core.cli import ray as ray_cli
from urst_core.cli.main import main
from urst_core.formats.input_options import InputOptions
from urst_core.tiling.settings import IfInterrupted, Settings


@pytest.fixture
def pictures(tmp_path):
    content = save_picture(tmp_path / "content.png", stored_picture((40, 50)))
    return content, save_picture(tmp_path / "style.png", stored_picture((30, 30)))


@pytest.fixture
def handed(monkeypatch):
    """What the run would get."""
    calls = []
    monkeypatch.setattr(
        ray_cli, "stylize_distributed", lambda *args, **options: calls.append((args, options))
    )
    return calls


def test_everything_is_handed_on(pictures, handed, capsys):
    content, style = map(str, pictures)
    urls = ["s3://bucket/in.zarr", style, "-o", "s3://bucket/out.ome.zarr"]
    assert main(["stylize", *urls, "--ray", "head:6379", "--ray-workers", "3", "--resume"]) == 0
    local = [content, style, "-o", "out.tif", "--tile-size", "64", "--strict", "--any-size"]
    assert main(["stylize", *local, "--ray", "local"]) == 0
    (first, options), (second, more) = handed
    assert (first[0], first[2]) == ("s3://bucket/in.zarr", "s3://bucket/out.ome.zarr")
    assert (options["address"], options["workers"], options["if_interrupted"]) == (
        "head:6379",
        3,
        IfInterrupted.RESUME,
    )
    assert (second[0], second[2]) == (Path(content), Path("out.tif"))
    assert second[4] == Settings(tile_size=64)
    assert options["input_options"] == InputOptions()
    assert more["input_options"] == InputOptions(strict=True, any_size=True)
    assert (more["workers"], more["if_interrupted"]) == (None, IfInterrupted.REFUSE)
    assert capsys.readouterr().out.startswith("s3://bucket/out.ome.zarr: done in ")


def test_urls_need_ray(pictures, capsys):
    content, style = map(str, pictures)
    for command in (["stylize"], ["plan"], ["stylize", "--resume"]):
        assert main([*command, content, style, "-o", "s3://bucket/out.zarr"]) == 1
        assert capsys.readouterr().err == (
            "urst: s3://bucket/out.zarr is a URL, which only Ray workers read and write; "
            "use --ray local, or name a local file\n"
        )


def test_workers_need_ray(pictures, capsys):
    content, style = map(str, pictures)
    assert main(["stylize", content, style, "-o", "out.tif", "--ray-workers", "2"]) == 1
    assert capsys.readouterr().err == (
        "urst: --ray-workers 2 is for clusters; name one with --ray, or leave it out\n"
    )


def test_an_interrupted_run_reports_what_is_kept(pictures, monkeypatch, capsys, tmp_path):
    content, style = map(str, pictures)

    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(ray_cli, "stylize_distributed", interrupted)
    arguments = ["stylize", content, style, "-o", str(tmp_path / "out.zarr"), "--ray", "local"]
    assert main(arguments) == 130
    assert "kept" not in capsys.readouterr().err
    monkeypatch.setattr(ray_cli, "notes_at", lambda _: {"run": "begun"})
    assert main(arguments) == 130
    assert (
        f"urst: the finished tiles are kept in {tmp_path / 'out.zarr.unfinished'}; "
        "continue with --resume\n"
    ) in capsys.readouterr().err
