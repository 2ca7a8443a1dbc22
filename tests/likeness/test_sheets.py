import pytest
from PIL import Image

from likeness.sheets import tile


def test_cells_hold_their_pictures_in_order() -> None:
    colours = ["red", "lime", "blue"]
    sheet = tile([Image.new("RGB", (30, 60), colour) for colour in colours], ["a", "b", "c"], columns=2, size=96)
    found = {
        (x // 100, y // 110): pixel
        for x in range(sheet.width)
        for y in range(sheet.height)
        if (pixel := sheet.getpixel((x, y))) in {(255, 0, 0), (0, 255, 0), (0, 0, 255)}
    }
    assert found[0, 0] == (255, 0, 0)
    assert found[1, 0] == (0, 255, 0)
    assert found[0, 1] == (0, 0, 255)


def test_captions_are_wrapped_and_drawn() -> None:
    picture = Image.new("RGB", (64, 64), "white")
    short = tile([picture], ["x"], columns=4, size=64)
    long = tile([picture], ["several words that do not fit\nandonewordthatiswiderthanthecolumn"], columns=4, size=64)
    assert short.width == long.width
    assert long.height > short.height
    assert short.getextrema() != ((255, 255),) * 3
    assert tile([picture], [""], columns=1, size=64).getextrema() == ((255, 255),) * 3


def test_wrong_numbers_of_captions() -> None:
    with pytest.raises(ValueError):
        tile([], [], 1, 10)
    with pytest.raises(ValueError):
        tile([Image.new("RGB", (1, 1))], [], 1, 10)
