"""The widgets that the stylizing nodes share, as the engine's settings."""

from __future__ import annotations

from urst_core.tiling.settings import Settings

REQUIRED = {"thumbnail_size": 1024, "style_size": 1024, "strength": 1.0, "statistics": "thumbnail"}


def test_widgets_that_an_old_workflow_lacks_have_the_engine_s_defaults(part, backbone):
    settings = part("nodes.look").settings_of(backbone, **REQUIRED)
    assert vars(settings) == vars(Settings(precision="fp32", device="cpu"))


def test_every_widget_becomes_a_setting(part, backbone):
    settings = part("nodes.look").settings_of(
        backbone,
        thumbnail_size=512,
        style_size=256,
        strength=0.5,
        statistics="local",
        tile_size=128,
        strokes=2.5,
        detail=0.25,
        brushwork=0.75,
        brushwork_seed=7,
        colors="matched",
        local_radius=0.1,
        match="distribution",
    )
    assert vars(settings) == {
        "thumbnail_size": 512,
        "style_size": 256,
        "strength": 0.5,
        "stats": "local",
        "tile_size": 128,
        "strokes": 2.5,
        "detail": 0.25,
        "brushwork": 0.75,
        "seed": 7,
        "colors": "matched",
        "local_radius": 0.1,
        "match": "distribution",
        "precision": "fp32",
        "device": "cpu",
    }


def test_strokes_of_one_are_the_backbone_s_own(part, backbone):
    settings = part("nodes.look").settings_of(backbone, **REQUIRED, strokes=1.0)
    assert settings.strokes == "fine"
