"""Styles: the packaged ones are sound, faulty files are named, slots end up in the prompt and nothing else does."""

import re
from pathlib import Path

import pytest

from inference.prompts import compose
from inference.styles import SLOTS, Style, find_style, load_styles
from likeness.errors import LikenessError

WANTED = {"studio-grey", "corporate", "warm-studio", "black-and-white", "outdoor", "office", "academic", "creative"}
LOOKS = """
beautiful handsome pretty attractive gorgeous perfect flawless young old age aged slim thin thick fair pale skin
complexion hair haired bald beard eyes eyed nose jaw lips teeth man woman male female boy girl ethnic ethnicity race asian african
european caucasian latina latino indian dark-skinned black-skinned white-skinned symmetrical youthful wrinkles model
"""


def test_the_packaged_styles_are_there_and_differ() -> None:
    styles = load_styles()
    assert WANTED <= set(styles)
    prompts = {compose(style, {}, "sks person").positive for style in styles.values()}
    assert len(prompts) == len(styles)
    for style in styles.values():
        assert set(style.slots) == set(SLOTS)
        for slot in style.slots.values():
            assert slot.default in slot.options and len(set(slot.options)) == len(slot.options)


def test_no_style_says_a_word_about_looks() -> None:
    for name, style in load_styles().items():
        text = " ".join([style.prompt, style.negative, *(o for slot in style.slots.values() for o in slot.options)])
        assert not set(re.findall(r"[a-z-]+", text.lower())) & set(LOOKS.split()), name


def test_choices_take_the_place_of_defaults() -> None:
    style = find_style("studio-grey")
    plain = compose(style, {}, "sks person")
    assert plain.positive == (
        "a headshot of sks person, grey studio background, a navy blazer, soft studio light, soft smile, "
        "facing the camera, head and shoulders"
    )
    chosen = compose(style, {"outfit": "  a red {scarf},\n wool ", "light": ""}, "sks person")
    assert chosen.positive == (
        "a headshot of sks person, grey studio background, a red {scarf}, wool, soft smile, facing the camera, "
        "head and shoulders"
    )
    assert chosen.slots["outfit"] == "a red {scarf}, wool" and chosen.slots["light"] == ""
    assert chosen.negative == plain.negative == style.negative


def test_who_wears_glasses_is_drawn_with_them_unless_a_choice_speaks_of_glasses() -> None:
    style = find_style("studio-grey")
    plain = compose(style, {}, "sks person").positive
    assert compose(style, {}, "sks person", glasses=True).positive == f"{plain}, wearing glasses"
    chosen = compose(style, {"outfit": "a suit and round Glasses"}, "sks person", glasses=True).positive
    assert "round Glasses" in chosen and "wearing glasses" not in chosen


def test_a_slot_that_a_style_lacks_cannot_be_chosen() -> None:
    style = Style.parse({"title": "t", "prompt": "{subject}, {light}", "slots": {"light": {"default": "dim"}}})
    with pytest.raises(LikenessError, match="no outfit to choose. It has: light"):
        compose(style, {"outfit": "a hat"}, "a person")


def test_an_unknown_style_lists_the_known() -> None:
    with pytest.raises(LikenessError, match="'studio-gray'.*studio-grey"):
        find_style("studio-gray")


SOUND = """
title: Mine
prompt: "a photo of {subject}, {light}"
slots: {light: {default: candle light}}
"""
FAULTS = {
    "title: Mine": ("titel: Mine", "'titel'.*Did you mean 'title'"),
    "{light}": ("{lihgt}", "lihgt"),
    "{subject}, {light}": ("{light}", "subject"),
    ", {light}": (", {light", "braces"),
    "of {subject}": ("of {subject!x}", "nothing but a name"),
    ', {light}"': (', {light:soft}"', "nothing but a name"),
    "light: {default: candle light}": ("lite: {default: x}", "lite"),
    "default: candle light": ("standard: x", "standard"),
}


def test_your_own_style_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SOUND)
    style = find_style(str(path))
    assert style.name == "mine" and compose(style, {}, "x").positive == "a photo of x, candle light"


@pytest.mark.parametrize("part", FAULTS)
def test_a_faulty_style_file_is_named_with_its_fault(tmp_path: Path, part: str) -> None:
    path = tmp_path / "mine.yaml"
    replacement, match = FAULTS[part]
    assert part in SOUND
    path.write_text(SOUND.replace(part, replacement, 1))
    with pytest.raises(LikenessError, match=f"mine.yaml: .*{match}"):
        load_styles(tmp_path)


def test_an_empty_folder_has_no_styles(tmp_path: Path) -> None:
    with pytest.raises(LikenessError, match="no styles"):
        load_styles(tmp_path)
