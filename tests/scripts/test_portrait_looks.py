"""What people of the portrait world wear and what stands behind them; geometry needs numba and the assets."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from scripts.portrait_world import assets, identity
from scripts.portrait_world.styles import STYLES


@pytest.fixture(scope="module")
def head() -> SimpleNamespace:
    """A shaped head and the modules that dress it."""
    pytest.importorskip("numba", reason="drawing people needs the extra `world`")
    if not assets.available():
        pytest.skip(f"drawing people needs the CC0 assets ({assets.VARIABLE})")
    from scripts.portrait_world import figure, hair, mesh, rig
    from scripts.portrait_world.head import hairline

    assets.source.cache_clear()
    vertices = figure.shape(identity.draw(11))
    return SimpleNamespace(vertices=vertices, eyes=rig.eyes(vertices), hair=hair, hairline=hairline, mesh=mesh)


def test_every_style_has_odds() -> None:
    assert set(STYLES) | {"bald"} == set(identity.HAIR_STYLES) and len(STYLES) >= 10


@pytest.mark.parametrize("name", STYLES)
def test_hair_starts_on_the_scalp_and_stays_out_of_the_face(head: SimpleNamespace, name: str) -> None:
    style = STYLES[name]
    strands = head.hair.grow(head.vertices, style, np.random.default_rng(0))
    assert strands.dtype == np.float32 and strands.shape[1:] == (style.points, 3) and np.isfinite(strands).all()
    assert 8000 < len(strands) < 16000
    away = np.linalg.norm(strands[::100, :1] - head.vertices[None, : head.mesh.BODY], axis=-1).min(1)
    assert np.quantile(away[: style.count // 120], 0.95) < 0.15  # the first are of the scalp, the last of a bun
    left, right = head.eyes
    x, y, z = np.moveaxis(strands - (left + right) / 2, -1, 0)
    half = abs(left[0] - right[0]) / 2
    face = (np.abs(x) < 1.6 * half) & (y < 0.15) & (y > -1.0) & (z > -0.1)
    assert not face.any()


def test_hair_is_the_same_each_time_and_recedes(head: SimpleNamespace) -> None:
    style = STYLES["crop"]
    one, two = (head.hair.grow(head.vertices, style, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)
    back = head.hairline(head.vertices, replace(style, recede=0.8))
    front = head.hairline(head.vertices, style)
    assert np.all(back <= front + 1e-9) and back.sum() < 0.95 * front.sum()


def test_coloured_locks_keep_their_colour(head: SimpleNamespace) -> None:
    from scripts.portrait_world import materials, person

    black = person.Person(identity.draw(11, hair_colour="black", grey=0.0))
    grey = person.Person(identity.draw(11, hair_colour="black", grey=1.0))
    strands = np.arange(5000)
    assert materials.hair_colours(black, strands).max() < 0.01
    assert materials.hair_colours(grey, strands).min() > 0.1
