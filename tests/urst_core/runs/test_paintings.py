"""Names of results: of every picture in every style."""

from __future__ import annotations

from pathlib import Path

import pytest

from urst_core.errors import OutputError, SettingsError
from urst_core.formats.find_pictures import FoundPicture
from urst_core.formats.vips import can_save
from urst_core.runs.paintings import StyleChoice, pair_up

LAKE = FoundPicture(Path("photos/2024/lake.JPG"), "2024/lake")
HUT = FoundPicture(Path("photos/hut.gif"), "hut")
MONET = StyleChoice(("monet.jpg",), "monet")
BOTH = StyleChoice(("monet.jpg", "klee.png"), "monet+klee")


def names(*contents, name, styles=(MONET, BOTH)):
    paintings = pair_up(contents, styles, Path("out"), name)
    return [painting.output.as_posix() for painting in paintings]


def test_every_picture_in_every_style():
    assert names(LAKE, HUT, name="{content}_{style}") == [
        "out/2024/lake_monet.JPG",
        "out/2024/lake_monet+klee.JPG",
        "out/hut_monet.png",
        "out/hut_monet+klee.png",
    ]


def test_folders_and_endings_in_names():
    assert names(LAKE, name="{style}/{content}.tif") == [
        "out/monet/2024/lake.tif",
        "out/monet+klee/2024/lake.tif",
    ]
    assert names(HUT, name="{content}.v2", styles=[MONET]) == ["out/hut.v2.png"]


def test_formats_that_this_build_does_not_write():
    phone = FoundPicture(Path("hut.heic"), "hut")
    ending = ".heic" if can_save(".heic", {"compression": "hevc"}) else ".png"
    assert names(phone, name="{content}", styles=[MONET]) == [f"out/hut{ending}"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{photo}", r"name '\{photo\}' has \{photo\}, which is unknown; use \{content\} and"),
        ("{content", "name '{content' cannot be used"),
        ("{content.path}", "which is unknown"),
        ("../{content}", "name '../{content}' leads out of the folder; use a name inside it"),
        ("/tmp/{content}", "leads out of the folder"),
        ("", "leads out of the folder"),
    ],
)
def test_names_that_cannot_be_used(name, message):
    with pytest.raises(SettingsError, match=message):
        names(LAKE, name=name)


def test_two_results_of_one_name():
    with pytest.raises(OutputError) as caught:
        names(HUT, name="{content}")
    assert str(caught.value) == (
        f"{Path('out/hut.png')} would be the result both of {HUT.path} in monet.jpg and of "
        f"{HUT.path} in monet.jpg + klee.png; rename one of them, or tell them apart with name"
    )
