import pickle
from pathlib import Path

import pytest

from likeness.errors import LikenessError
from likeness.images import PhotoError


def test_message_is_one_line_of_place_fault_and_remedy() -> None:
    error = LikenessError("no such\nthing.", "Make one", Path("people/ana"))
    assert str(error) == "people/ana: no such thing. Make one"
    assert str(LikenessError("no such thing")) == "no such thing"
    assert error.exit_code == 2


@pytest.mark.parametrize(
    "error",
    [LikenessError("what", "remedy", Path("a")), PhotoError("empty", "what", "remedy", Path("a"))],
)
def test_errors_travel_between_processes(error: LikenessError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
