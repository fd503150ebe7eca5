"""Save Style and Load Style: a saved style paints as its painting does, in every node."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from examples import load_picture, picture, save_picture, stored_picture

LOOK = {"thumbnail_size": 64, "style_size": 64, "strength": 1.0, "statistics": "thumbnail"}
SAVE = {"style_size": 64, "title": "Stars", "file_name": "stars", "overwrite": False}

pytestmark = pytest.mark.usefixtures("inference_mode")


def image(size, *, seed=1):
    return picture(size, seed=seed).permute(1, 2, 0).unsqueeze(0).contiguous()


@pytest.fixture
def painting():
    return image((64, 80), seed=9)


@pytest.fixture
def folder(host, base):
    """models/urst."""
    host.folder = base / "models"
    host.folder.mkdir()
    return host.folder


@pytest.fixture
def saved(call, backbone, painting, folder):
    [saved] = call("SaveStyle", backbone=backbone, style=painting, **SAVE)
    assert (folder / "stars.style.safetensors").is_file()
    return saved


def test_a_loaded_style_is_the_saved_one(call, saved, painting):
    loaded, preview, title = call("LoadStyle", style_file="stars.style.safetensors")
    assert title == "Stars"
    for name, value in saved.code.tensors.items():
        assert torch.equal(loaded.code.tensors[name], value)
    assert preview.shape == painting.shape
    assert float((preview - painting).abs().max()) <= 1 / 255
    # ComfyUI prints it with errors.
    assert repr(saved) == "SavedStyle(Stars, of microast)"


def test_a_saved_style_paints_as_its_painting(call, backbone, saved, painting):
    content = image((40, 56))
    whole = {"backbone": backbone, "content": content, **LOOK, "tile_size": 0}
    [expected] = call("StylizeImage", style=painting, **whole)
    [painted] = call("StylizeImage", saved_style=saved, **whole)
    assert float(painted.std()) > 0.05
    assert torch.equal(painted, expected)
    stats, preview = call(
        "MakeThumbnailStats", backbone=backbone, content=content, saved_style=saved, **LOOK
    )
    assert stats.code.fingerprint == backbone.backbone.fingerprint
    assert preview.shape == content.shape


@pytest.mark.parametrize("count", [1, 2])
def test_each_picture_of_a_batch_and_a_saved_style_share_equally(call, backbone, saved, count):
    others = torch.cat([image((48, 48), seed=4 + number) for number in range(count)])
    content = image((40, 56))
    stats, _ = call(
        "MakeThumbnailStats",
        backbone=backbone,
        content=content,
        style=others,
        saved_style=saved,
        **LOOK,
    )
    codes = [backbone.backbone.encode_style([o[None].permute(0, 3, 1, 2)]) for o in others]
    for name, value in stats.code.tensors.items():
        each = [code.tensors[name] for code in (*codes, saved.code)]
        mean = sum(each) / (count + 1)
        assert torch.allclose(value, mean, atol=1e-5)


def test_files_are_stylized_in_saved_styles(call, backbone, saved, painting, base):
    pytest.importorskip("pyvips")
    save_picture(base / "input" / "content.png", stored_picture((40, 56)))
    results = []
    for style in ({"style": painting}, {"saved_style": saved}):
        path, _ = call(
            "StylizeFile",
            backbone=backbone,
            content="content.png",
            **LOOK,
            tile_size=0,
            output_name="painted",
            file_format="PNG",
            quality=90,
            resume=True,
            overwrite=False,
            **style,
        )
        results.append(load_picture(Path(path)).int())
    # The painting goes through a file of 16 bits, the code does not.
    assert int((results[0] - results[1]).abs().max()) <= 1


def test_styles_are_no_weights(nodes, saved, folder):
    assert saved is not None
    (folder / "mine.safetensors").write_bytes(b"")
    load = {socket.id: socket for socket in nodes["URSTLoadBackbone"].define_schema().inputs}
    assert "mine.safetensors" in load["weights"].values["options"]
    assert "stars.style.safetensors" not in load["weights"].values["options"]
    [choice] = nodes["URSTLoadStyle"].define_schema().inputs
    assert choice.values["options"] == ["stars.style.safetensors"]


def test_refused(call, part, backbone, painting, saved, folder):
    errors = part("urst_core.errors")
    given = {"backbone": backbone, "style": painting}
    with pytest.raises(errors.OutputError) as caught:
        call("SaveStyle", **given, **SAVE)
    assert str(caught.value) == (
        f"{folder / 'stars.style.safetensors'} exists; choose another name, or switch overwrite on"
    )
    call("SaveStyle", **given, **SAVE | {"overwrite": True})
    for name in ("../stars", "/stars", "a/../../stars"):
        with pytest.raises(errors.OutputError, match="is outside the folder"):
            call("SaveStyle", **given, **SAVE | {"file_name": name})
    with pytest.raises(errors.OutputError) as caught:
        call("SaveStyle", **given, **SAVE | {"file_name": " "})
    assert str(caught.value) == "style name '' has no file name; give one, for example starry"
    with pytest.raises(errors.StatsError) as caught:
        call("LoadStyle", style_file="absent.style.safetensors")
    assert str(caught.value) == (
        "style 'absent.style.safetensors' is not in the folder models/urst"
    )
    code = saved.code
    other = type(saved)(code, "adain", "Stars")
    with pytest.raises(errors.StatsError) as caught:
        call("SaveStyle", backbone=backbone, saved_style=other, **SAVE | {"overwrite": True})
    assert str(caught.value) == (
        "style 'Stars' of backbone 'adain' does not fit 'microast'; "
        "set backbone to adain, or save the style again with this one"
    )
