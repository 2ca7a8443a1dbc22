import pickle
from pathlib import Path

import pytest

from likeness.errors import LikenessError, first_line
from likeness.images import PhotoError


def test_message_is_one_line_of_place_fault_and_remedy() -> None:
    error = LikenessError("no such\nthing.", "Make one", Path("people/ana"))
    assert str(error) == "people/ana: no such thing. Make one"
    assert str(LikenessError("no such thing")) == "no such thing"
    assert error.exit_code == 2


@pytest.mark.parametrize(("said", "told"), [("\n no key\nlog in", "no key"), ("", "ValueError"), (" \n", "ValueError")])
def test_of_a_library_s_error_the_first_line_is_told_and_its_class_where_it_says_nothing(said: str, told: str) -> None:
    assert first_line(ValueError(said)) == told


@pytest.mark.parametrize(
    "error",
    [LikenessError("what", "remedy", Path("a")), PhotoError("empty", "what", "remedy", Path("a"))],
)
def test_errors_travel_between_processes(error: LikenessError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_what_a_stranger_s_file_says_moves_no_terminal() -> None:
    assert (
        str(LikenessError("no \x1b[2Jsuch\x07 thing\x9b", path="a\x1b.jpg"))
        == "a\ufffd.jpg: no \ufffd[2Jsuch\ufffd thing\ufffd"
    )
