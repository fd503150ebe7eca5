"""The pieces of a core that a network paints."""

from __future__ import annotations

from itertools import combinations

import torch

from urst_core.geometry import Rectangle
from urst_core.tiling.pieces import BLOCK, painted_pieces

CORE = Rectangle(128, 256, 128 + 8 * BLOCK, 256 + 12 * BLOCK)


def pieces(painted, halo, core=CORE):
    return painted_pieces(painted, core, lambda piece: piece.grown(halo))


def painted_in(*areas, core=CORE):
    painted = torch.zeros(core.size)
    for area in areas:
        painted[area.relative_to(core).slices] = 0.5
    return painted


def test_a_painted_area_is_one_piece_of_whole_blocks():
    area = Rectangle(200, 300, 330, 310)
    assert pieces(painted_in(area), halo=16) == [Rectangle(192, 256, 384, 320)]


def test_areas_that_are_far_apart_are_several_pieces_unless_halos_are_large():
    corners = Rectangle(128, 256, 140, 270), Rectangle(630, 1010, 640, 1024)
    assert pieces(painted_in(*corners), halo=16) == [
        Rectangle(128, 256, 192, 320),
        Rectangle(576, 960, 640, 1024),
    ]
    assert pieces(painted_in(*corners), halo=2000) == [CORE]


def test_pieces_of_a_ring_do_not_overlap_and_leave_out_its_middle():
    painted = torch.ones(CORE.size)
    painted[100:420, 100:660] = 0.0
    found = pieces(painted, halo=8)
    covered = torch.zeros(CORE.size)
    for piece in found:
        covered[piece.relative_to(CORE).slices] += 1
    assert int(covered.max()) == 1
    assert bool((covered[painted > 0] == 1).all())
    assert int(covered.sum()) == CORE.area - 4 * 8 * BLOCK**2
    assert all(first != second for first, second in combinations(found, 2))


def test_the_last_pieces_reach_the_end_of_the_core():
    """The core ends in padding, which is not painted, within a block."""
    core = Rectangle(0, 0, 104, 200)
    painted = torch.zeros(103, 199)
    painted[80:, 150:] = 1.0
    assert pieces(painted, halo=8, core=core) == [Rectangle(64, 128, 104, 200)]
