"""The portrait world: who is drawn, what is said of pictures, and who is held out; and, with numba and assets, pictures."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.portrait_world import __main__ as command
from scripts.portrait_world import assets, cohort, identity, people, scenes

PEOPLE = [identity.draw(number) for number in range(4000)]


def chi_square(table: np.ndarray, expected: np.ndarray) -> float:
    """The statistic over its degrees of freedom: about 1 where the counts are what is expected."""
    return float(((table - expected) ** 2 / expected).sum() / max(table.size - 1, 1))


def dependence(one: list[Any], other: list[Any]) -> float:
    """Pearson's chi-square of a table of two attributes over its degrees of freedom: about 1 where they are independent."""
    rows, columns = np.unique(one, return_inverse=True)[1], np.unique(other, return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return float(((table - expected) ** 2 / expected).sum() / freedom)


TONES = [who.skin_tone for who in PEOPLE]
DECADES = [int(who.age_years // 13) for who in PEOPLE]
SEXES = [who.sex_presentation for who in PEOPLE]


def test_tone_age_and_sex_presentation_are_uniform() -> None:
    assert chi_square(np.bincount(TONES, minlength=10), np.full(10, 400.0)) < 2.2
    ages = np.histogram([who.age_years for who in PEOPLE], 8, identity.AGES)[0]
    assert chi_square(ages, np.full(8, 500.0)) < 2.4
    assert abs(SEXES.count("male") - 2000) < 130


@pytest.mark.parametrize(
    "one, other",
    [(TONES, SEXES), (TONES, DECADES), (SEXES, DECADES), (TONES, [who.hair for who in PEOPLE])]
    + [(TONES, [getattr(who, name) for who in PEOPLE]) for name in ("hair_colour", "eyes", "eyebrows")]
    + [(TONES, [int(np.argmax(who.ancestry)) for who in PEOPLE]), (TONES, [bool(who.glasses) for who in PEOPLE])],
)  # fmt: skip
def test_attributes_are_independent(one: list[Any], other: list[Any]) -> None:
    assert dependence(one, other) < 1.9


def test_dependence_is_found_where_it_is() -> None:
    assert dependence(SEXES, [who.hair for who in PEOPLE]) > 10
    assert dependence(TONES, [tone // 2 for tone in TONES]) > 100


def test_hair_style_is_tied_only_loosely_to_sex_presentation() -> None:
    for sex in ("male", "female"):
        assert {who.hair for who in PEOPLE if who.sex_presentation == sex} == set(identity.HAIR_STYLES)


def test_a_person_is_their_number() -> None:
    assert identity.draw(7) == PEOPLE[7] and identity.draw(7).shape != identity.draw(8).shape
    assert scenes.draw(7, 2, "selfie") == scenes.draw(7, 2, "selfie") != scenes.draw(7, 3, "selfie")


def test_words_name_the_scene_and_never_the_person() -> None:
    drawn = [scenes.draw(number, 0, kind) for number in range(200) for kind in ("headshot", "selfie")]  # type: ignore[arg-type]
    words = [scene.words() for scene in drawn]
    assert {word["kind"] for word in words} == {"headshot", "selfie"}
    assert {word["light"] for word in words} == {
        "soft studio light", "dramatic light", "rim light", "window light", "natural light"
    }  # fmt: skip
    assert {word["expression"] for word in words} == set(scenes.EXPRESSION_WORDS.values())
    assert {word["pose"] for word in words} == {"facing the camera", "head turned slightly"}
    for scene, word in zip(drawn, words, strict=True):
        assert (word["pose"] == "facing the camera") == (abs(scene.pose.yaw) < 10)
        place = scene.background.removeprefix("studio:")
        assert str(word["background"]).startswith(place)
        assert ("studio" in str(word["background"])) == scene.background.startswith("studio:")
        assert (word["light"] in scenes.STUDIO_LIGHTS) == scene.background.startswith("studio:")
    said = " ".join(str(part) for word in words for part in word.values())
    assert not {"man", "woman", "male", "female", "skin", "old", "young", "hair", "beard", "beautiful"} & set(
        said.split()
    )


def test_selfies_go_through_the_places() -> None:
    assert {scenes.draw(900_000, take, "selfie").background for take in range(12)} == set(scenes.SELFIE_PLACES)


def test_the_cohort_is_balanced() -> None:
    who = [people.who_is(number) for number in cohort.numbers()]
    assert len(who) == 48 and min(one.number for one in who) == identity.FIRST_HELD_OUT
    tones = np.bincount([one.skin_tone for one in who], minlength=10)
    assert set(tones) <= {4, 5}
    for sex in ("male", "female"):
        mine = [one for one in who if one.sex_presentation == sex]
        assert len(mine) == 24 and set(np.bincount([one.skin_tone for one in mine], minlength=10)) <= {2, 3}
        bands = np.histogram([one.age_years for one in mine], 4, identity.AGES)[0]
        assert list(bands) == [6, 6, 6, 6]
    pairs = np.array([[one.skin_tone, one.age_years, one.sex_presentation == "male"] for one in who], float)
    assert np.abs(np.corrcoef(pairs.T) - np.eye(3)).max() < 0.1
    assert all(scenes.draw(one.number, 3, "headshot").background.startswith("studio:") for one in who)


def test_the_held_out_are_not_drawn_for_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), "--people", "899999:900001"])
    assert "held out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--people", "3"], "two numbers"),
        (["--people", "a:b"], "two numbers"),
        (["--cohort", "--size", "512"], "leave out"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main([str(tmp_path), *arguments])
    assert words in capsys.readouterr().err


def test_the_training_of_a_base_does_not_find_the_held_out(tmp_path: Path) -> None:
    pictures = pytest.importorskip("scripts.pocket_base.pictures", reason="needs torch")
    for number in (12, 900_012):
        folder = tmp_path / f"p{number:06d}"
        folder.mkdir()
        points = {name: (10.0, 20.0) for name in ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right", "chin")}
        Image.new("RGB", (64, 64)).save(folder / "selfie_00.jpg")
        truth = people.truth(scenes.draw(number, 0, "selfie"), people.who_is(number), points)
        people.write(folder, {"identity": people.who_is(number).asdict(), "shots": {"selfie_00.jpg": truth}})
    found = pictures.find_shots([tmp_path])
    assert [shot.path.parent.name for shot in found] == ["p000012"]
    words = found[0].words
    assert set(words) == {"kind", "background", "outfit", "light", "expression", "pose", "glasses"}
    held_out = json.loads((tmp_path / "p900012/person.json").read_text())
    assert held_out["shots"]["selfie_00.jpg"]["kind"] == "selfie" and held_out["identity"]["number"] == 900_012


def test_without_assets_it_says_where_they_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(assets.VARIABLE, raising=False)
    assets.source.cache_clear()
    with pytest.raises(SystemExit, match="github.com/makehumancommunity"):
        assets.source("mpfb")


@pytest.fixture
def drawing() -> SimpleNamespace:
    """The modules that draw, which need numba and the assets."""
    pytest.importorskip("numba", reason="drawing people needs the extra `world`")
    if not assets.available():
        pytest.skip(f"drawing people needs the CC0 assets ({assets.VARIABLE})")
    from scripts.portrait_world import person, picture

    assets.source.cache_clear()
    return SimpleNamespace(Person=person.Person, render=picture.render, tone_map=picture.tone_map, PARTS=picture.PARTS)


def plain_scene(**changes: Any) -> scenes.Scene:
    scene = scenes.draw(3, 0, "headshot")
    pose, view = scenes.Pose(), scene.view | {"aim": (0.0, -0.4), "shift": (0.0, 0.0)}
    plain: dict[str, Any] = {"pose": pose, "view": view, "face": scenes.Expression(), "setup": "soft", "stops": 0.0}
    return replace(scene, **plain | {"background": "studio:grey"} | changes)


def test_a_picture_is_true_and_the_same_each_time(drawing: SimpleNamespace) -> None:
    who = identity.draw(5, hair="crop", beard=0, glasses=None)
    first = drawing.render(drawing.Person(who), plain_scene(), 96, 1)
    again = drawing.render(drawing.Person(who), plain_scene(), 96, 1)
    assert np.array_equal(first.rgb, again.rgb)
    marks = {name: np.array(mark) for name, mark in first.landmarks.items()}
    assert marks["eye_right"][0] < marks["nose"][0] < marks["eye_left"][0]  # sides are the person's own
    assert marks["eye_left"][1] < marks["nose"][1] < marks["mouth_left"][1] < marks["chin"][1]
    for name, part in (("nose", "skin"), ("chin", "skin"), ("eye_left", "eye")):
        column, row = marks[name].astype(int)
        assert first.mask[row, column] == drawing.PARTS.index(part)
    assert first.mask[0, 0] == 0 and (first.mask == drawing.PARTS.index("hair")).mean() > 0.01


def test_skin_tones_stay_in_order_and_apart(drawing: SimpleNamespace) -> None:
    """One person in one light in all ten tones: each is darker than the one before, the lightest is not burnt out."""
    levels = []
    for tone in range(identity.TONES):
        who = identity.draw(5, hair="crop", beard=0, glasses=None, skin_tone=tone)
        picture = drawing.render(drawing.Person(who), plain_scene(), 64, 1)
        eye, mouth = (np.array(picture.landmarks[name]) for name in ("eye_left", "mouth_left"))
        column, row = ((eye + mouth) / 2).astype(int)
        levels.append(np.median(picture.rgb[row - 2 : row + 3, column - 2 : column + 3].mean(-1)))
    assert np.all(np.diff(levels) < -2)
    assert 150 < levels[0] < 230 and 35 < levels[-1] < 90


def test_tone_mapping_keeps_the_middle_and_never_folds(drawing: SimpleNamespace) -> None:
    grey = np.linspace(0, 8, 4001)[:, None] * np.ones(3)
    shown = drawing.tone_map(grey)[:, 0]
    assert np.all(np.diff(shown) >= -1e-12) and shown[-1] <= 1
    middle = grey[:, 0] < 0.45
    expected = np.where(grey[:, 0] <= 0.0031308, grey[:, 0] * 12.92, 1.055 * grey[:, 0] ** (1 / 2.4) - 0.055)
    assert np.abs(shown - expected)[middle].max() < 1e-6


def test_the_key_light_is_on_the_side_that_the_scene_says(drawing: SimpleNamespace) -> None:
    who = drawing.Person(identity.draw(5, hair="bald", beard=0, glasses=None))
    brightness = []
    for side in (-1, 1):
        picture = drawing.render(who, plain_scene(side=side, setup="dramatic"), 64, 1)
        face = picture.mask == drawing.PARTS.index("skin")
        centre = int(picture.landmarks["nose"][0])
        left, right = (picture.rgb[:, part][face[:, part]].mean() for part in (slice(0, centre), slice(centre, 64)))
        brightness.append(right - left)
    assert brightness[0] < -8 and brightness[1] > 8


def test_triangles_agree_with_a_plain_rasteriser(drawing: SimpleNamespace) -> None:
    """Against half-plane tests and plane equations in numpy, pixel by pixel."""
    from scripts.portrait_world import raster

    rng, size, count = np.random.default_rng(0), 24, 12
    points = np.column_stack([rng.uniform(-4, 28, (3 * count, 2)), rng.uniform(1, 5, 3 * count)])
    corners = np.arange(3 * count).reshape(-1, 3)
    depth, owner = np.full((size, size), 1e9), np.full((size, size), -1, np.int64)
    weights, uv = np.zeros((size, size, 2)), np.zeros((count, 3, 2), np.float32)
    solid, atlas = np.full(count, -1), np.ones((1, 2, 2), np.float32)
    raster.triangles(points, corners, solid, atlas, uv, depth, owner, weights)
    columns, rows = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    nearest, whose = np.full((size, size), 1e9), np.full((size, size), -1)
    for number, corner in enumerate(corners):
        system = np.vstack([points[corner, :2].T, np.ones(3)])
        share = np.linalg.solve(system, np.stack([columns.ravel(), rows.ravel(), np.ones(size * size)]))
        at = (1 / (share / points[corner, 2:3]).sum(0)).reshape(size, size)
        inside = (share >= 0).all(0).reshape(size, size) & (at < nearest)
        nearest[inside], whose[inside] = at[inside], number
    assert np.array_equal(whose, owner) and np.allclose(nearest, depth)


def test_a_folder_is_made_once(drawing: SimpleNamespace, tmp_path: Path) -> None:
    order = people.Order(headshots=1, selfies=1, size=48, supersample=1)
    assert people.save(tmp_path, order, 2) == 2 and people.save(tmp_path, order, 2) == 0
    truth = json.loads((tmp_path / "p000002/person.json").read_text())
    assert sorted(truth["shots"]) == ["headshot_00.jpg", "selfie_00.jpg"]
    assert truth["identity"] == json.loads(json.dumps(identity.draw(2).asdict()))


def test_beards_leave_lips_and_forehead_free(drawing: SimpleNamespace) -> None:
    from scripts.portrait_world import accessories, figure, mesh, regions, rig

    head = figure.shape(identity.draw(11))
    area = accessories.beard_area(head)
    eye, body = rig.eyes(head)[0], head[: mesh.BODY]
    above = (body[:, 1] > eye[1]) & (np.abs(body[:, 0]) < 1.5 * eye[0])  # between the temples
    assert area[regions.lips()].max() < 0.01 and area[: mesh.BODY][above].max() < 0.01 and area.max() > 0.9


def test_glasses_stand_before_the_eyes(drawing: SimpleNamespace) -> None:
    from scripts.portrait_world import accessories, figure, rig

    head = figure.shape(identity.draw(11))
    for kind in identity.GLASSES_KINDS:
        (frame, faces), (lenses, _) = accessories.glasses(head, kind, "black")
        assert max(map(max, faces)) == len(frame) - 1
        for eye in rig.eyes(head):
            near = lenses[np.abs(lenses[:, 0] - eye[0]) < 0.3]
            assert near[:, 0].min() < eye[0] < near[:, 0].max() and near[:, 1].min() < eye[1] < near[:, 1].max()
            assert near[:, 2].min() > eye[2]
