"""Mix Styles and Style Regions: any number of styles in one node."""

from __future__ import annotations

import pytest
import torch
from examples import picture

ONE, OTHER, THIRD = (picture((16, 24), seed=seed).permute(1, 2, 0)[None] for seed in (3, 4, 5))
LEFT = torch.ones(1, 48, 96)


@pytest.fixture
def parts_of(part, backbone):
    """The pictures and weights that the inputs of a node are for its backbone."""

    def found(*, style=None, style_2=None, saved_style=None):
        styles, weights = part("nodes.convert").mixture_of(
            style, style_2, 0.5, "", saved_style, backbone
        )
        return [each.pixels.permute(1, 2, 0)[None] for each in styles], weights

    return found


def assert_equal(found, styles, weights):
    pictures, shares = found
    assert len(pictures) == len(styles)
    assert all(torch.equal(*pair) for pair in zip(pictures, styles))
    assert shares == pytest.approx(weights)


def test_styles_are_mixed_by_their_weights_in_the_order_of_their_numbers(call, parts_of):
    styles = {"style_10": THIRD, "style_1": ONE, "style_2": torch.cat([OTHER, ONE])}
    [mixed] = call("MixStyles", styles=styles, style_weights="2, 1 1")
    four = [ONE, OTHER, ONE, THIRD]
    assert_equal(parts_of(saved_style=mixed), four, [0.5, 0.125, 0.125, 0.25])
    [again] = call("MixStyles", styles={"style_1": mixed, "style_2": OTHER})
    assert_equal(parts_of(saved_style=again), [*four, OTHER], [0.25, 0.0625, 0.0625, 0.125, 0.5])
    assert repr(mixed) == "StyleMixture(3 styles, shares (0.5, 0.25, 0.25))"


def test_a_mixture_shares_equally_with_a_style(call, parts_of):
    [mixed] = call("MixStyles", styles={"style_1": ONE, "style_2": OTHER}, style_weights="3 1")
    found = parts_of(style=THIRD, style_2=ONE, saved_style=mixed)
    assert_equal(found, [THIRD, ONE, OTHER, ONE], [0.25, 0.1875, 0.0625, 0.5])


def test_regions_of_one_node_are_those_of_a_row_of_nodes(call, backbone):
    [below] = call("StyleRegion", style=THIRD)
    [first] = call("StyleRegion", style=ONE, mask=LEFT, mask_feather=4, regions=below)
    [row] = call(
        "StyleRegion", style=OTHER, mask=1 - LEFT, mask_feather=4, strength=0.5, regions=first
    )
    [at_once] = call(
        "StyleRegions",
        styles={"style_2": ONE, "style_3": OTHER},
        masks={"mask_2": LEFT, "mask_3": 1 - LEFT},
        mask_feather=4,
        strengths="1, 0.5",
        regions=below,
    )
    for expected, region in zip(row, at_once, strict=True):
        assert (region.strength, region.feather) == (expected.strength, expected.feather)
        assert region.mask is expected.mask is None or torch.equal(region.mask, expected.mask)
        [style], weights = region.mixture(backbone)
        [wanted], _ = expected.mixture(backbone)
        assert torch.equal(style.pixels, wanted.pixels)
        assert weights == [1.0]


def test_a_style_without_a_mask_is_everywhere(call):
    [regions] = call("StyleRegions", styles={"style_1": ONE, "style_2": OTHER})
    assert [region.mask for region in regions] == [None, None]
    assert [region.strength for region in regions] == [1.0, 1.0]


MIXED = {"styles": {"style_1": ONE, "style_2": OTHER}}


@pytest.mark.parametrize(
    ("node", "inputs", "message"),
    [
        (
            "MixStyles",
            {"style_weights": "1, 2, 3"},
            "3 style_weights do not fit 2 styles; give one for each style, or none",
        ),
        (
            "MixStyles",
            {"style_weights": "1, x"},
            "style_weights '1, x' are not numbers; separate them by commas, as in 2, 1, 0.5",
        ),
        (
            "MixStyles",
            {"style_weights": "1, -1"},
            "style weights [1.0, -1.0] cannot be used; use values >= 0, at least one above 0",
        ),
        (
            "StyleRegions",
            {"masks": {"mask_3": LEFT}},
            "mask_3 has no style; connect style_3, or remove the mask",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, part, node, inputs, message):
    with pytest.raises(part("urst_core.errors").SettingsError) as caught:
        call(node, **MIXED, **inputs)
    assert str(caught.value) == message
