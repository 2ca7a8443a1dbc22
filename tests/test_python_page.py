"""What docs/python.md tells people to build on, as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from likeness import resources

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
SHORTER = {"steps=500": "steps=1", "count=4)": "count=1, max_oversample=1, size=None)"}


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.mark.slow
def test_the_lines_run(tmp_path: Path) -> None:
    (tmp_path / "selfies").mkdir()
    for photo in sorted((resources.assets() / "cohort" / "p900003").glob("selfie_*.jpg"))[:7]:
        shutil.copy(photo, tmp_path / "selfies")
    lines = block("python") + "\nprint(record.name, page.name)"
    for told, shorter in SHORTER.items():
        assert lines.count(told) == 1
        lines = lines.replace(told, shorter)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", lines], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "selfie_00.jpg ok" in ran.stdout and "pocket-lora.json pocket-lora.html" in ran.stdout
    assert not (tmp_path / "people" / "ana").exists()


def test_the_script_ends_where_a_command_refuses(tmp_path: Path) -> None:
    (tmp_path / "one.sh").write_text("likeness() { echo $1 >> told; return 2; }\n" + block("sh"))
    assert subprocess.run(["sh", "one.sh", "ana"], check=False, cwd=tmp_path).returncode == 2
    assert (tmp_path / "told").read_text() == "check\n"
