"""What the design gives to one place only is done in that place only; functions stay short."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("likeness", "training", "inference")
CODE = sorted(path for room in (*ROOMS, "scripts") for path in (ROOT / room).rglob("*.py")) + [ROOT / "train.py"]
DRAWS = {
    *(f"torch.{name}" for name in ("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "bernoulli")),
    *("torch.normal", "torch.multinomial", "torch.manual_seed", "torch.seed", "torch.Generator"),
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def in_rooms() -> list[Path]:
    return [path for path in CODE if path.relative_to(ROOT).parts[0] in ROOMS]


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", CODE, ids=name)
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{node.name} is too long"


@pytest.mark.parametrize("path", in_rooms(), ids=name)
def test_random_numbers_come_from_one_place(path: Path) -> None:
    if name(path) == "likeness/randomness.py":
        return
    assert not {"random", "secrets"} & set(imported(path))
    called = {dotted(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    assert not called & DRAWS
    assert not [call for call in called if call.startswith(("np.random.", "numpy.random."))]


@pytest.mark.parametrize("path", in_rooms(), ids=name)
def test_files_are_replaced_in_one_place(path: Path) -> None:
    if name(path) == "likeness/files.py":
        return
    called = {dotted(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
    assert not called & {"os.replace", "os.rename", "os.renames", "shutil.move", "tempfile.mkstemp"}


@pytest.mark.parametrize("path", in_rooms(), ids=name)
def test_lora_is_injected_in_one_place(path: Path) -> None:
    if name(path) == "likeness/adapter.py":
        return
    methods = {
        node.func.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not methods & {"add_adapter", "inject_adapter_in_model"}
