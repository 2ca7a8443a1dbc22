"""Every kind of bad photograph gets its own verdict, nothing crashes, and the good ones are used."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image

from likeness import files
from likeness.errors import LikenessError
from likeness.faces import DlibEmbedder, FaceFinder
from tests import photos
from training.intake import Report, check, set_findings
from training.intake_photo import PhotoVerdict, examine, judge
from training.intake_report import contact_sheet
from training.intake_settings import IntakeSettings

FINDER, DLIB = FaceFinder(), DlibEmbedder()
HEIC = Path(__file__).parents[1] / "data" / "selfie.heic"


def look(folder: Path, **settings: object) -> Report:
    return check(folder, IntakeSettings(**settings), finder=FINDER, embedder=DLIB)


def codes(report: Report) -> dict[str, str]:
    return {photo.file.name: photo.code for photo in report.photos}


def copy_selfies(folder: Path, rows: range, person: int = 0) -> list[Path]:
    chosen = [photos.selfies(photos.people()[person])[row] for row in rows]
    return [photos.save(folder / f"good_{path.name}", enlarged(path), quality=92) for path in chosen]


def enlarged(path: Path) -> photos.Pixels:
    """A selfie of the cohort at 384 px: its face is then about 160 px large, which no limit of intake complains of."""
    return np.asarray(cv2.resize(photos.pixels(path), (384, 384), interpolation=cv2.INTER_CUBIC), np.uint8)


def good_and_bad(folder: Path) -> dict[str, str]:
    """Fills a folder with five good photographs and one of each bad kind; returns the verdicts that are due."""
    person, stranger = photos.people()[:2]
    good = copy_selfies(folder, range(5))
    whole = photos.selfies(person)[6].read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("these are words")
    (folder / "zero.jpg").write_bytes(b"")
    photos.enormous_png(folder / "bomb.png")
    photos.save(folder / "landscape.png", skimage.data.rocket())
    group = [cv2.resize(photos.pixels(photos.selfies(one)[1]), (300, 300)) for one in photos.people()[:3]]
    photos.save(folder / "group.png", np.hstack(group))
    photos.save(folder / "stranger.jpg", enlarged(photos.selfies(stranger)[0]))
    Image.open(good[1]).resize((300, 300)).save(folder / "duplicate.jpg", quality=60)
    rgb = enlarged(photos.selfies(person)[8])
    face = FINDER.find(rgb)[0]
    photos.save(folder / "sunglasses.png", photos.with_sunglasses(rgb, face))
    photos.save(folder / "blurred.png", photos.blurred(rgb, face, 4))
    photos.save(folder / "very-blurred.png", photos.blurred(rgb, face, 10))
    photos.save(folder / "lying.png", np.rot90(enlarged(photos.selfies(person)[10])))
    photos.save(folder / "blue-skin.png", np.ascontiguousarray(rgb[..., ::-1]))
    photos.save(folder / "dark.png", photos.stops(rgb, -4))
    photos.save(folder / "bright.png", photos.stops(rgb, 3.5))
    photos.save(folder / "pitch-black.png", np.zeros((400, 400, 3), np.uint8))
    photos.save(folder / "small.png", cv2.resize(rgb, (200, 200)))
    photos.save(folder / "grey.jpg", np.asarray(Image.fromarray(rgb).convert("L")), quality=90)
    wide = np.full((600, 900, 3), 128, np.uint8)
    wide[200:330, 300:430] = cv2.resize(rgb, (130, 130))
    photos.save(folder / "far.png", wide)
    large = cv2.resize(rgb, None, fx=2, fy=2)
    photos.save(folder / "cut.png", large[:, int(2 * (face.box[0] + 0.3 * face.size)) :])
    sideways = Image.fromarray(enlarged(photos.selfies(person)[7])).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn me a quarter clockwise"
    sideways.save(folder / "sideways.jpg", exif=exif, quality=92)
    bad = {
        "truncated.jpg": "truncated", "text.jpg": "not-an-image", "zero.jpg": "empty", "bomb.png": "bomb",
        "landscape.png": "no-face", "group.png": "several-faces", "stranger.jpg": "another-person",
        "duplicate.jpg": "duplicate", "sunglasses.png": "eyes-hidden", "blurred.png": "blurred", "dark.png": "too-dark",
        "bright.png": "too-bright", "grey.jpg": "no-colour", "pitch-black.png": "too-dark", "small.png": "too-small", "far.png": "face-too-small",
        "cut.png": "cut-off", "very-blurred.png": "blurred", "lying.png": "sideways", "blue-skin.png": "false-colour",
    }  # fmt: skip
    return bad | {path.name: "ok" for path in good} | {"sideways.jpg": "ok"}


def test_a_folder_of_everything(tmp_path):
    due = good_and_bad(tmp_path)
    report = look(tmp_path)
    assert codes(report) == due
    assert report.ok and report.findings == []
    assert sorted(photo.file.name for photo in report.accepted) == sorted(
        name for name, code in due.items() if code == "ok"
    )
    for photo in report.photos:
        assert (photo.verdict == "ok") == (photo.reason == "") == (photo.remedy == "")
    sideways = next(photo for photo in report.photos if photo.file.name == "sideways.jpg")
    assert sideways.face is not None and abs(sideways.face.roll) < 20


def test_heic_is_read(tmp_path):
    pytest.importorskip("pi_heif")
    shutil.copy(HEIC, tmp_path)
    assert codes(look(tmp_path)) == {"selfie.heic": "ok"}


def test_a_real_photograph_passes(tmp_path):
    photos.save(tmp_path / "astronaut.png", photos.astronaut())
    (photo,) = look(tmp_path).photos
    assert photo.verdict != "rejected"
    assert photo.glasses is False


def test_nobody_is_rejected_for_the_colour_of_the_skin():
    for person in photos.by_tone(3):
        for path in photos.selfies(person)[:2]:
            verdict = PhotoVerdict(path, "ok", "ok", width=384, height=384)
            judge(verdict, enlarged(path), IntakeSettings(), FINDER)
            assert verdict.verdict != "rejected", (path, verdict.reason)


def test_a_mirrored_and_a_cropped_copy_are_duplicates_and_the_best_is_kept(tmp_path):
    original = enlarged(photos.selfies(photos.people()[0])[2])
    photos.save(tmp_path / "a_small.png", cv2.resize(original, (280, 280), interpolation=cv2.INTER_AREA))
    photos.save(tmp_path / "b_original.png", original)
    photos.save(tmp_path / "c_mirrored.jpg", np.ascontiguousarray(original[:, ::-1]), quality=50)
    photos.save(tmp_path / "d_cropped.jpg", np.ascontiguousarray(original[20:-20, 10:-30]), quality=60)
    found = codes(look(tmp_path))
    assert found.pop("b_original.png") == "ok"
    assert set(found.values()) == {"duplicate"}


def test_too_few_is_an_error_and_says_how_many(tmp_path):
    copy_selfies(tmp_path, range(3))
    report = look(tmp_path)
    assert not report.ok
    (error,) = [finding for finding in report.findings if finding.severity == "error"]
    assert error.code == "too-few"
    assert "Add 2 or more" in error.remedy
    assert look(tmp_path, min_photos=3).ok


def test_two_people_equally_often_is_an_error(tmp_path):
    copy_selfies(tmp_path, range(3))
    for path in photos.selfies(photos.people()[1])[:3]:
        shutil.copy(path, tmp_path / f"other_{path.name}")
    report = look(tmp_path, min_photos=2)
    assert "two-people" in [finding.code for finding in report.findings]
    assert not report.ok


def test_glasses_in_every_photo_is_a_warning(tmp_path):
    wearer = next(index for index, person in enumerate(photos.people()) if photos.wears_rims(person))
    copy_selfies(tmp_path, range(5), wearer)
    report = look(tmp_path)
    assert report.ok
    assert "always-glasses" in [finding.code for finding in report.findings]


def test_one_pose_and_one_light_are_warnings(tmp_path):
    rgb = photos.pixels(photos.selfies(photos.people()[0])[0])
    for shift in range(2):
        changed = rgb.copy()
        changed[:, : 40 + 10 * shift] = 255 * shift
        photos.save(tmp_path / f"{shift}.png", changed)
    settings = IntakeSettings(min_photos=2)
    examined = [examine(path, settings, FINDER, DLIB) for path in sorted(tmp_path.iterdir())]
    assert [finding.code for finding in set_findings(examined, False, settings)] == ["one-pose", "one-light"]


def test_an_empty_and_a_missing_folder(tmp_path):
    assert not look(tmp_path).ok
    with pytest.raises(LikenessError, match="no such folder"):
        look(tmp_path / "absent")


def test_the_report_holds_no_vectors_and_no_landmarks(tmp_path):
    copy_selfies(tmp_path, range(1))
    (photo,) = look(tmp_path).to_json()["photos"]
    assert set(photo["face"]) == {"box", "size", "yaw", "pitch", "roll"}


def test_more_photographs_than_a_jpeg_is_high_are_shown_on_one_sheet(tmp_path):
    many = [
        PhotoVerdict(tmp_path / f"IMG_{number}.jpg", "rejected", "no-face", "no face found") for number in range(1500)
    ]
    files.write_image(tmp_path / "sheet.jpg", contact_sheet(Report(many, [])))
    assert Image.open(tmp_path / "sheet.jpg").height < 20_000
