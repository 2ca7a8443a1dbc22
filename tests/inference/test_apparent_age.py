"""Reading apparent ages where people have unequal numbers of photographs."""

from dataclasses import replace

import numpy as np

from inference.apparent_age import read_ages
from tests.inference.test_audit import aged


def test_the_reading_does_not_hang_on_who_has_many_photographs() -> None:
    """The old have eight times as many: everybody was read older by years, and the reading given up."""
    years = np.linspace(20, 70, 30)
    people = [aged(n, age, age) for n, age in enumerate(years)]
    fair = read_ages(people, years.tolist())
    many = [
        replace(one, own=np.repeat(one.own, 8, axis=0)) if age > 45 else one
        for one, age in zip(people, years, strict=True)
    ]
    found = read_ages(many, years.tolist())
    assert fair and found
    assert found.error < fair.error + 1
