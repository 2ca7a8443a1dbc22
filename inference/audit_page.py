"""The audit's page: worst group first, each with its numbers and the pictures that did not pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from inference.charts import strips
from inference.html import between, closing, document, figure
from likeness.images import load_photo

Rejected = Mapping[str, Sequence[tuple[Path, tuple[str, ...]]]]
"""{person: [(headshot, why it does not pass)]}."""

NO_GROUPS = "There is no group with enough people to compare."

_SHOWN = 6
"""Pictures of a group."""


def page(report: Mapping[str, Any], rejected: Rejected) -> str:
    """The HTML of a report."""
    everyone, title = report["everyone"], "Do these headshots serve everybody alike?"
    found = [group for group in report["groups"] if group["findings"]]
    sections = [
        f"<h1>{title}</h1>",
        (
            f'<p class="soft">{everyone["people"]} people, {everyone["pictures"]} headshots, measured {escape(report["created"])} by '
            f"Likeness {escape(report['version'])} with the recogniser {escape(report['recogniser'])}, drift against {report['against']}.</p>"
        ),
        _verdict(report, found),
        _targets(report),
        _lightness(report),
        *(_group(report, group, rejected) for group in report["groups"]),
        "<h2>Everyone</h2>" + _table(report, everyone),
        _left_out(report),
        *closing(report),
    ]
    return document(title, sections)


def _verdict(report: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str:
    if not report["groups"]:
        return f"<p><b>{NO_GROUPS}</b></p>"
    if not found:
        return f"<p><b>No group is served worse beyond chance</b>, of {len(report['groups'])} that were compared.</p>"
    lines = [
        f"<li><b>{escape(group['name'])}</b>: {escape('; '.join(finding_words(report, group)))}</li>" for group in found
    ]
    return f"<p><b>Served worse, beyond chance:</b></p><ul>{''.join(lines)}</ul>"


def finding_words(report: Mapping[str, Any], group: Mapping[str, Any]) -> list[str]:
    """Every finding on a group in words."""
    words = []
    for name in group["findings"]:
        measured, column = group["measures"][name], report["measures"][name]
        here, there = measured["mean"], measured["mean"] - measured["difference"]
        words.append(
            f"{column['title']} {_shown(here, column)}, of the others {_shown(there, column)} (p {measured['p']:.3f})"
        )
    return words


def _shown(value: float, column: Mapping[str, Any]) -> str:
    if column["share"]:
        return f"{value:.0%}"
    return f"{value:+.2f} {column['unit']}".rstrip() if column["worse"] == "away" else f"{value:.2f}"


def _targets(report: Mapping[str, Any]) -> str:
    def chance(target: Mapping[str, Any]) -> str:
        return f"; random labels give {by_chance:.2f}" if (by_chance := target.get("by_chance")) is not None else ""

    cells = "".join(
        f'<div class="{"" if target["met"] else "bad"}"><b>{"?" if target["value"] is None else format(target["value"], ".2f")}</b>'
        f"{escape(target['what'])}; aimed at: {escape(target['limit'])}{chance(target)}</div>"
        for target in report["targets"]
    )
    return f'<div class="key">{cells}</div>'


def _lightness(report: Mapping[str, Any]) -> str:
    single = [group for group in report["groups"] if len(group["attributes"]) == 1]
    each = report["each"]
    rows = {
        f"{group['name']} ({len(known)})": known
        for group in single
        if (known := [each[name]["lightness"] for name in group["names"] if each[name]["lightness"] is not None])
    }
    if not rows:
        return ""
    return (
        "<h2>Is anybody's skin lightened?</h2>"
        + strips(rows, 0.0, "as it is")
        + f"<p>Each dot is a person: to the right of the line their skin is lighter on the headshots than on their {report['against']} (L*).</p>"
    )


def _group(report: Mapping[str, Any], group: Mapping[str, Any], rejected: Rejected) -> str:
    found = "".join(f"<li>{escape(words)}</li>" for words in finding_words(report, group))
    # Pictures under the groups of one attribute alone: every failure would come back under each intersection.
    shots = (
        [shot for name in group["names"] for shot in rejected.get(name, ())] if len(group["attributes"]) == 1 else []
    )
    shots = sorted(shots, key=lambda shot: -len(shot[1]))[:_SHOWN]
    figures = "".join(
        figure(load_photo(path), f"{path.parents[2].name}: {', '.join(why)}", bad=True) for path, why in shots
    )
    return (
        f"<h2>{escape(group['name'])}</h2>"
        + (f"<ul>{found}</ul>" if found else "")
        + f"<details{' open' if found else ''}><summary>{group['people']} people, {group['pictures']} headshots, against {group['others']} others</summary>"
        + _table(report, group)
        + (f'<p>Headshots that do not pass:</p><div class="shots">{figures}</div>' if figures else "")
        + "</details>"
    )


def _table(report: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    rows = []
    for name, column in report["measures"].items():
        measured = group["measures"][name]
        if measured["mean"] is None:
            rows.append(f"<tr><td>{escape(column['title'])}</td><td>not measured</td><td></td></tr>")
            continue
        bounds = between(measured["interval_95"], ".0%" if column["share"] else ".2f")
        gap = f"p {measured['p']:.3f}" if "p" in measured else ""
        rows.append(
            f"<tr><td>{escape(column['title'])}</td><td>{_shown(measured['mean'], column)}{bounds}, of {measured['people']}</td><td>{gap}</td></tr>"
        )
    within = group["dispersion_within"]
    if within is not None:
        rows.append(
            f"<tr><td>distance from each other, over that of the selfies</td><td>{within:.2f}</td><td></td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"


def _left_out(report: Mapping[str, Any]) -> str:
    lines = [f"<li>{escape(one['person'])}: {escape(one['why'])}</li>" for one in report["left_out"]]
    lines += [f"<li>{escape(name)}: no label, counted under everyone alone</li>" for name in report["not_labelled"]]
    return f"<h2>Who is not in it</h2><ul>{''.join(lines)}</ul>" if lines else ""
