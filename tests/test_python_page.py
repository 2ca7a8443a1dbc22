"""What docs/python.md tells people to build on, as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from likeness import resources

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
SHORTER = {"steps=500": "steps=1", "count=4)": "count=1, max_oversample=1, size=None)"}


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.mark.slow
def test_the_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "selfies").mkdir()
    for photo in sorted((resources.assets() / "cohort" / "p900003").glob("selfie_*.jpg"))[:7]:
        shutil.copy(photo, tmp_path / "selfies")
    monkeypatch.chdir(tmp_path)
    lines = block("python")
    for told, shorter in SHORTER.items():
        assert lines.count(told) == 1
        lines = lines.replace(told, shorter)
    *most, last = lines.strip().splitlines()
    exec("\n".join(most), names := {"__name__": "page"})  # noqa: S102
    assert names["shots"] and names["page"].is_file() and names["record"].is_file()
    exec(last, names)
    assert not (tmp_path / "people" / "ana").exists()
    assert "selfie_00.jpg ok" in capsys.readouterr().out


def test_the_script_ends_where_a_command_refuses(tmp_path: Path) -> None:
    (tmp_path / "one.sh").write_text("likeness() { echo $1; return 2; }\n" + block("sh"))
    ran = subprocess.run(["sh", "one.sh", "ana"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 2 and ran.stdout == ""  # check's own words go to /dev/null
