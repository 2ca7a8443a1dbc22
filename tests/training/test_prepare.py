"""Portraits are cut, masked, described and held out; made once, whole or not at all."""

import shutil
import threading
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from likeness.errors import LikenessError
from likeness.faces import Face, FaceFinder
from likeness.faces.following import pose_words
from likeness.faces.framing import WIDTHS
from likeness.person import Consent, Person
from tests import photos
from training import prepare as preparation
from training.captions import CaptionSettings, Scene, caption
from training.crops import Frame, Photograph, frames
from training.prepare import PrepareSettings, choose_held_out, load_portraits, prepare
from training.variety import TRAITS

FINDER = FaceFinder()


def make_person(folder: Path, count: int = 5) -> Person:
    person = Person.create(folder, Consent(who="Nobody", basis="self", when=date(2026, 1, 1)))
    for path in photos.selfies(photos.people()[0])[:count]:
        shutil.copy(path, person.selfies)
    return person


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Person:
    person = make_person(tmp_path_factory.mktemp("people") / "ana")
    shutil.copy(photos.selfies(photos.people()[1])[0], person.selfies / "stranger.jpg")
    (person.selfies / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    prepare(person, 64)
    return person


def test_the_dataset_is_as_promised(prepared):
    portraits = load_portraits(prepared, 64)
    others = {"original_width", "original_height", *TRAITS}
    assert (
        set(portraits.column_names) == {"image", "mask", "caption", "photo", "digest", "crop", "also", "split"} | others
    )
    assert {row["photo"] for row in portraits} == {path.name for path in photos.selfies(photos.people()[0])[:5]}
    for row in portraits:
        assert row["image"].size == row["mask"].size == (64, 64)
        assert (row["image"].mode, row["mask"].mode) == ("RGB", "L")
        assert row["caption"].count("{subject}") == 1
        mask = np.asarray(row["mask"])
        assert mask.max() > 250 and 0.05 < (mask > 128).mean() < 0.9
        (face,) = FINDER.find(np.asarray(row["image"].resize((256, 256))))
        assert row["yaw"] == pytest.approx(face.yaw, abs=8), "of the photograph, whatever the crop"
        x, y = (int(v / 4) for v in face.centre)
        assert mask[y, x] > 250


def test_upright_portraits_lie_beside_the_square_ones(prepared):
    folder = prepare(prepared, 64, shape="portrait")
    assert folder == prepared.prepared / "64x80" and (prepared.prepared / "64").is_dir()
    for row in load_portraits(prepared, 64, "portrait"):
        assert row["image"].size == row["mask"].size == (64, 80)
        (face,) = FINDER.find(np.asarray(row["image"].resize((256, 320))))
        x, y = (int(v / 4) for v in face.centre)
        assert np.asarray(row["mask"])[y, x] > 250


def test_a_fifth_of_the_photographs_is_held_out_with_all_its_crops(prepared):
    portraits = load_portraits(prepared, 64)
    splits = {photo: {row["split"] for row in portraits if row["photo"] == photo} for photo in set(portraits["photo"])}
    assert sorted(split for values in splits.values() for split in values) == ["held-out"] + ["train"] * 4


def test_the_second_time_nothing_is_done(prepared, monkeypatch):
    monkeypatch.setattr(preparation, "check_files", lambda *_: pytest.fail("looked at the photographs again"))
    assert prepare(prepared, 64) == prepared.prepared / "64"


def test_a_new_photograph_or_setting_prepares_anew(tmp_path):
    person = make_person(tmp_path / "ana")
    prepare(person, 32)
    before = len(set(load_portraits(person, 32)["photo"]))
    shutil.copy(photos.selfies(photos.people()[0])[5], person.selfies)
    prepare(person, 32, settings=PrepareSettings(captions=CaptionSettings(lead="a selfie of {subject}")))
    after = load_portraits(person, 32)
    assert len(set(after["photo"])) == before + 1
    assert all(text.startswith("a selfie of {subject}") for text in after["caption"])


def test_two_runs_at_once_prepare_once(tmp_path, monkeypatch):
    person, checked, look = make_person(tmp_path / "ana", 2), [], preparation.check_files
    settings = PrepareSettings(intake={"min_photos": 2})
    other = threading.Thread(target=prepare, args=(person, 64, 0, settings))

    def slowly(*given):
        checked.append(given)
        if len(checked) == 1:
            other.start()
            other.join(0.5)
        return look(*given)

    monkeypatch.setattr(preparation, "check_files", slowly)
    prepare(person, 64, settings=settings)
    other.join(60)
    assert len(checked) == 1 and not other.is_alive()


def test_a_failure_leaves_nothing_half_written(tmp_path, monkeypatch):
    person = make_person(tmp_path / "ana")
    monkeypatch.setattr(preparation, "write_json", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(LikenessError):
        prepare(person, 32)
    assert list(person.prepared.iterdir()) == []


def test_what_a_killed_process_left_of_its_portraits_is_removed(tmp_path):
    person = make_person(tmp_path / "ana")
    left, others = (person.prepared / f".{width}.0123456789ab.tmp" / "data.arrow" for width in (32, 64))
    for path in (left, others):
        path.parent.mkdir(parents=True)
        path.touch()
    prepare(person, 32)
    assert not left.parent.exists() and others.exists()


def test_refusals_are_one_clear_line(tmp_path):
    nobody = tmp_path / "bea"
    nobody.mkdir()
    with pytest.raises(LikenessError, match="consent"):
        prepare(Person.open(nobody), 32)
    with pytest.raises(LikenessError, match="2 usable photos, at least 5"):
        prepare(make_person(tmp_path / "ana", 2), 32)
    with pytest.raises(LikenessError, match="likeness prepare"):
        load_portraits(Person.open(tmp_path / "ana"), 32)


def test_holding_out_is_stable():
    digests = [f"{number:064x}" for number in range(20)]
    held_out = choose_held_out(digests, 0.2, seed=0)
    assert len(held_out) == 4
    assert choose_held_out(digests[::-1], 0.2, seed=0) == held_out
    assert choose_held_out(digests, 0.2, seed=1) != held_out
    more = choose_held_out([*digests, "f" * 64], 0.2, seed=0)
    assert len(more & held_out) >= 3
    assert choose_held_out(digests[:4], 0.2, seed=0) == set()
    assert len(choose_held_out(digests[:5], 0.01, seed=0)) == 1


@pytest.mark.parametrize("shape", ["square", "portrait"])
@pytest.mark.parametrize("size", [(512, 512), (1600, 1200), (600, 2000)])
def test_portraits_lie_within_the_photograph_and_hold_the_face(size, shape):
    width, height = size
    rgb = photos.astronaut()
    face = FINDER.find(rgb)[0].moved(0, 0, min(size) / 512)
    found = frames(face, width, height, 128, shape)
    assert [frame.crop for frame in found] == ["full", "shoulders", "close"]
    widths = [frame.width for frame in found]
    taller = 1.25 if shape == "portrait" else 1.0
    assert widths == sorted(widths, reverse=True) and widths[0] == pytest.approx(min(width, height / taller))
    for frame in found:
        assert frame.height == pytest.approx(taller * frame.width)
        x0, y0, x1, y1 = frame.box
        assert x0 >= 0 and y0 >= 0 and x1 <= width + 1e-6 and y1 <= height + 1e-6
        assert x0 <= face.box[0] and y0 <= face.box[1] and x1 >= face.box[2] and y1 >= face.box[3]


def test_portraits_that_would_be_enlarged_too_much_are_left_out():
    """More than to twice their size: which resolution that is follows from the face."""
    face = FINDER.find(photos.astronaut())[0]
    close, shoulders = (int(2 * WIDTHS[crop] * face.size) for crop in ("close", "shoulders"))
    for resolution, left in ((close, 3), (close + 1, 2), (shoulders, 2), (shoulders + 1, 1)):
        found = [frame.crop for frame in frames(face, 512, 512, resolution)]
        assert found == ["full", "shoulders", "close"][:left]


@pytest.mark.parametrize(
    ("ratio", "crops", "also"),
    [
        (1.3, ["full"], None),
        (1.4, ["full"], "close"),
        (1.7, ["full"], "close"),
        (1.85, ["full", "close"], None),
        (2.0, ["full", "close"], "shoulders"),
        (2.4, ["full", "close"], "shoulders"),
        (2.6, ["full", "shoulders", "close"], None),
    ],
)
def test_a_photograph_taken_closely_says_which_portrait_it_nearly_is(ratio, crops, also):
    """Within 15% of its width, which is what is not cut because it would be the same picture."""
    face = FINDER.find(photos.astronaut())[0]
    side = round(ratio * face.size)
    found = frames(face, side, 2 * side, 64)
    assert [frame.crop for frame in found] == crops
    assert [frame.also for frame in found] == [also, None, None][: len(found)]
    assert found[0].width / face.size == pytest.approx(ratio, rel=0.02)
    if crops == ["full"]:
        assert frames(face, side, 2 * side, 2 * side + 1)[0].also is None, "that would be enlarged too much"


def test_somebody_else_is_on_no_portrait():
    """As long as a closer one leaves them out."""
    rgb = photos.astronaut()
    face, picture = FINDER.find(rgb)[0], Image.fromarray(rgb)

    def cut(*others: Face) -> list[Frame]:
        return Photograph(picture, face, FINDER, others).frames(128)

    whole, closer, closest = cut()
    left, top, _, _ = closer.box
    corner = face.moved(-face.box[2], -face.box[3])  # with its chin
    assert cut(corner.moved(left - 1, top - 1)) == [closer, closest]
    assert cut(corner.moved(left + 9, top + 9)) == [closest]
    assert cut(corner) == [whole, closer, closest] and cut(face) == [closest]


def test_captions_name_framing_pose_and_light_and_never_looks():
    rgb = photos.astronaut()
    face = FINDER.find(rgb)[0]
    scene = Scene.of(rgb, face, glasses=False)
    settings = CaptionSettings()
    assert caption(scene, face, 512, settings).startswith("a photo of {subject}")
    assert "head and shoulders" in caption(scene, face, 2.6 * face.size, settings)
    assert "close-up" in caption(scene, face, 1.5 * face.size, settings)
    assert pose_words(face.yaw) in caption(scene, face, 512, settings)
    grey = np.repeat(rgb.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert "black and white photograph" in caption(Scene.of(grey, face, False), face, 512, settings)
    coloured = np.full_like(grey, 245)  # before a white wall, in grey clothes
    x0, y0, x1, y1 = (round(edge) for edge in face.box)
    coloured[y0:] = grey[y0:]
    coloured[y0:y1, x0:x1] = rgb[y0:y1, x0:x1]
    assert "black and white" not in caption(Scene.of(coloured, face, False), face, 512, settings)
    assert "dim light" in caption(Scene.of(photos.stops(rgb, -3), face, False), face, 512, settings)
    assert caption(Scene(None, False, True), face, 512, settings).endswith("wearing glasses")


def test_a_lead_without_the_subject_is_refused():
    with pytest.raises(LikenessError, match="subject"):
        CaptionSettings.parse({"lead": "a photo of somebody"})
