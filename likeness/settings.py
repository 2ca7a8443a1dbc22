"""Settings: frozen pydantic models read from YAML and ``key=value`` overrides, with errors that a person can act on."""

from __future__ import annotations

import copy
import difflib
import reprlib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

import pydantic
from pydantic_core import ErrorDetails

from likeness.errors import LikenessError
from likeness.files import explained
from likeness.yaml12 import YamlError, dump_yaml, parse_yaml


class Settings(pydantic.BaseModel):
    """Base of every settings class: unknown keys are refused, and nothing changes after construction."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )

    @classmethod
    def load(cls, yaml_path: Path | None, overrides: Sequence[str] = ()) -> Self:
        """Settings from a YAML file (or only defaults), then from overrides ``a.b=c``, whose values are YAML too.

        Raises LikenessError naming the file, the key, and what was expected or the nearest real key.
        """
        values = _read(yaml_path) if yaml_path is not None else {}
        told = dict(_apply(values, override) for override in overrides)
        cls._keep_texts(values, told)
        return cls.parse(values, yaml_path)

    @classmethod
    def _keep_texts(cls, values: dict[str, Any], told: Mapping[str, str]) -> None:
        """What was told for a setting that is text stays as it was written: a name may be 2024, and a commit's hash 12345e7."""
        try:
            cls.model_validate(values)
        except pydantic.ValidationError as error:
            for fault in error.errors():
                key = ".".join(map(str, fault["loc"]))
                numeric = isinstance(fault["input"], int | float | date)
                if fault["type"] in ("string_type", "path_type") and key in told and numeric:
                    _put(values, key, told[key].strip())

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: Path | None = None) -> Self:
        """Settings from plain values. Raises LikenessError, which names ``source`` when given."""
        try:
            return cls.model_validate(values)
        except pydantic.ValidationError as error:
            raise _explanation(cls, error, source) from error


def dump(settings: Settings) -> str:
    """The settings as YAML, in the order of the class, such that ``load`` gives them back."""
    return dump_yaml(settings.model_dump(mode="json"))


def explain(settings: Settings, indent: str = "") -> str:
    """As ``dump``, with comments above each setting: what it means, and which words it takes."""
    lines = []
    for name, value in settings.model_dump(mode="json").items():
        field, inner = type(settings).model_fields[name], getattr(settings, name)
        group = isinstance(inner, Settings)
        what = field.description or (type(inner).__doc__ if group else None) or ""
        words = [] if group else list(_words(field.annotation))
        told = f"{what} One of: {', '.join(words)}." if words else what
        mark = f"{indent}# "
        lines += textwrap.wrap(told, 100, initial_indent=mark, subsequent_indent=mark, break_on_hyphens=False)
        if group:
            lines += [f"{indent}{name}:", explain(inner, indent + "  ")]
        else:
            lines.append(textwrap.indent(dump_yaml({name: value}).rstrip("\n"), indent))
    return "\n".join(lines)


def _words(annotation: Any) -> Iterator[str]:
    """The fixed words that a setting of this type may be."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for argument in get_args(annotation):
            yield from _words(argument)


def _read(path: Path) -> dict[str, Any]:
    try:
        with explained(path, "cannot be read"):
            values = parse_yaml(path.read_text(encoding="utf-8"))
    except (YamlError, UnicodeDecodeError) as error:
        raise LikenessError(f"is not valid YAML: {error}", "Correct the file", path) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise LikenessError("holds no settings", "Write one 'key: value' a line", path)
    for key in [key for key in values if isinstance(key, str) and "." in key]:  # as an override is written
        if _has(values, key):
            raise LikenessError(f"sets {key} twice", "Leave one out", path)
        _put(values, key, values.pop(key))
    return values


def _apply(values: dict[str, Any], override: str) -> tuple[str, str]:
    """Sets one ``a.b=c`` in nested dictionaries, making those that are missing; gives key and text."""
    key, equals, text = override.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise LikenessError(f"{override!r} is not a setting", "Write key=value, for instance steps=200")
    try:
        value = parse_yaml(text)
    except YamlError as error:
        raise LikenessError(f"the value of {key} is not valid YAML: {error}", "Quote it") from error
    _put(values, key.strip(), value)
    return key.strip(), text


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of settings with others set by dotted key, as a new tree. Raises LikenessError where a key leads nowhere."""
    changed = copy.deepcopy(dict(values))
    for key, value in overrides.items():
        _put(changed, key, value)
    return changed


def _has(values: Mapping[str, Any], key: str) -> bool:
    inner: Any = values
    for part in key.split("."):
        if not isinstance(inner, dict) or part not in inner:
            return False
        inner = inner[part]
    return True


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    path = key.split(".")
    for part in path[:-1]:
        inner = values.get(part)
        if inner is None:
            inner = values[part] = {}
        if not isinstance(inner, dict):
            raise LikenessError(f"{key} cannot be set: {part} is {inner!r}, not a group of settings")
        values = inner
    values[path[-1]] = value


def _explanation(cls: type[Settings], error: pydantic.ValidationError, source: Path | None) -> LikenessError:
    # A misspelt key is reported before whatever else is wrong, which often only follows from it.
    faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    what, remedy = _describe(cls, faults[0])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return LikenessError(what + more, remedy, source)


def _describe(cls: type[Settings], fault: ErrorDetails) -> tuple[str, str]:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = _nearest(key, list(_keys(cls)))
        return f"there is no setting {key!r}", f"Did you mean {near!r}?" if near else "Leave it out"
    if fault["type"] == "missing":
        return f"the setting {key!r} is missing", f"Give it: {key}=..."
    expected = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    shown = _brief(fault["input"])
    # A rule across several keys of the same group has the whole group as its input: the rule itself says more.
    what = f"{key} is {shown}" if key and not isinstance(fault["input"], dict) else f"{key or 'a setting'} is wrong"
    return what, f"Expected: {expected}"


def _brief(value: Any) -> str:
    """A value for a message. Of lists the beginning: ten lines of YAML, whose names stand for lists of names, can be longer than memory."""
    text = reprlib.repr(value) if isinstance(value, list | dict) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _nearest(key: str, known: list[str]) -> str | None:
    """The real key that was most likely meant: the same name in another group, else the most similar spelling."""
    leaf = key.rpartition(".")[2]
    moved = [real for real in known if real.rpartition(".")[2] == leaf]
    if moved:
        return moved[0]
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return near[0]
    leaves = {real.rpartition(".")[2]: real for real in reversed(known)}
    near = difflib.get_close_matches(leaf, leaves, n=1)
    return leaves[near[0]] if near else None


def _keys(cls: type[pydantic.BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a settings class in dotted form, those of nested classes too."""
    for name, field in cls.model_fields.items():
        yield prefix + name
        for inner in _classes_in(field.annotation):
            yield from _keys(inner, f"{prefix}{name}.")


def _classes_in(annotation: Any) -> Iterator[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _classes_in(argument)
