"""The certificate's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from inference.charts import bars, strips
from inference.html import between, closing, document, figure
from inference.material import Selfies
from likeness.images import load_photo


def page(
    report: Mapping[str, Any],
    pictures: Sequence[tuple[Path, tuple[str, ...]]],
    selfies: Selfies,
    scores: Mapping[str, Sequence[float]],
) -> str:
    """The HTML of a report. `pictures`: each headshot and why it does not pass. `scores`: the mean cosines with the held-out
    selfies of the person's "own" photographs and of the "others"; the pictures' own are in the report."""
    title = f"How like {report['person']} are these pictures?"
    sections = [
        f"<h1>{escape(title)}</h1>",
        (
            f'<p class="soft">Adapter <b>{escape(report["adapter"])}</b>, measured {escape(report["created"])} by Likeness '
            f"{escape(report['version'])} with the recogniser {escape(report['recogniser'])}. {escape(_chosen(report))}</p>"
        ),
        _key_numbers(report),
        _likeness(report, scores),
        _ways(report),
        _drifts(report),
        _shots(pictures),
        _prompts(report),
        _bleed(report),
        _selfies(report, selfies),
        *closing(report),
    ]
    return document(title, sections)


def _chosen(report: Mapping[str, Any]) -> str:
    ranked = f"The pictures were ranked by {', '.join(report['chosen_by'])}"
    by = report["checkpoint_chosen_by"]
    return f"{ranked}, the checkpoint was chosen by {by}." if by else f"{ranked}, and no checkpoint was chosen."


def _key_numbers(report: Mapping[str, Any]) -> str:
    likeness, cohort, copying, passed = (report[name] for name in ("likeness", "cohort", "copying", "checks"))
    drifted = [drift["title"] for drift in report["drift"].values() if drift["beyond"]]
    score = "none" if copying["score"] is None else f"{copying['score']:.2f}"
    copies = f"Copies of a selfie: {copying['copies']}; with the background of one: {copying['backgrounds']}"
    return '<div class="key">' + "".join(
        f'<div class="{"" if good else "bad"}"><b>{value}</b>{escape(words)}</div>'
        for value, words, good in (
            (
                f"{likeness['mean']:.2f}",
                f"likeness{between(likeness['interval_95'])}. 1 is how like your own photographs are to each other, 0 is somebody else, or no face.",
                likeness["mean"] >= report["verification"]["value_as_likeness"],
            ),
            (f"{cohort['rank']} of {cohort['people']}", "place among other people: 1 is best.", cohort["rank"] == 1),
            (score, f"copying: 0 is new pictures, 1 your selfies again. {copies}.", not copying["copies"] + copying["backgrounds"]),
            (str(len(drifted)), f"of your looks drifted{': ' + ', '.join(drifted) if drifted else ''}.", not drifted),
            (
                f"{passed['share']:.0%}",
                f"of these pictures pass every check{between(passed['interval_95'], '.0%')}.",
                passed["share"] >= 0.5,
            ),
            *_yield(report["yield"]),
        )
    ) + "</div>"  # fmt: skip


def _yield(found: Mapping[str, Any] | None) -> list[tuple[str, str, bool]]:
    if found is None:
        return []
    why = ", ".join(f"{reason} ({count})" for reason, count in list(found["rejected_for"].items())[:3])
    words = f"yield: {found['passed']} of all {found['of']} candidates that were drawn passed every gate{between(found['interval_95'], '.0%')}."
    return [(f"{found['share']:.0%}", words + (f" Most often not for: {why}." if why else ""), found["share"] >= 0.5)]


def _likeness(report: Mapping[str, Any], scores: Mapping[str, Sequence[float]]) -> str:
    verification = report["verification"]
    drawn = [each["cosine"] for each in report["each"] if "cosine" in each]
    rows = {"your selfies": scores["own"], "these pictures": drawn, "other people": scores["others"]}
    shown = {f"{name} ({len(row)})": row for name, row in rows.items() if row}
    return (
        "<h2>Whom do they look like?</h2>"
        + strips(shown, verification["value"], "accepted above")
        + f"<p>Each dot is a photograph: the further to the right, the more like your held-out selfies (mean cosine). Above the line it "
        f"passes for you: {verification['accepted']:.0%} of these pictures{between(verification['accepted_interval_95'], '.0%')}, and "
        f"{verification['false_accepts']:.1%} of {verification['impostors']} photographs of other people"
        f"{between(verification['interval'], '.1%')}.</p>"
    )


def _ways(report: Mapping[str, Any]) -> str:
    if not report["ways"]:
        return ""
    lines = []
    for row in report["ways"]:
        rise, likeness, checks = row["against_first"], row["likeness"], row["checks"]
        words = f"likeness {likeness['mean']:.2f}{between(likeness['interval_95'])}, {row['copies']} copies, {checks['share']:.0%} pass every check"
        if rise:
            words += f"; {rise['mean']:+.2f}{between(rise['interval_95'])} against the first on {rise['pairs']} of the same prompt and seed"
        lines.append(f"<li><b>{escape(row['way'])}</b>, {row['pictures']} pictures: {words}</li>")
    return f"<h2>Which way of drawing is more like you?</h2><ul>{''.join(lines)}</ul>"


def _drifts(report: Mapping[str, Any]) -> str:
    rows = [(d["title"], d["z"], f"{d['shift']:+.2g} {d['unit']}") for d in report["drift"].values()]
    limit = next((d["limit"] for d in report["drift"].values()), None)
    if limit is None:
        return ""
    return (
        "<h2>What changed about you?</h2>"
        + bars(rows, limit)
        + "<p>Each bar is how far these pictures are from your selfies, in units of chance: how much your selfies differ among themselves, "
        f"light and pose included, for so many pictures. Within the band (±{limit:.0f}) it is no more than chance.</p>"
    )


def _shots(pictures: Sequence[tuple[Path, tuple[str, ...]]]) -> str:
    figures = "".join(
        figure(load_photo(path), f"{path.parent.name}/{path.stem}: {', '.join(rejected) or 'passes'}", bool(rejected))
        for path, rejected in pictures
    )
    return f'<h2>The pictures</h2><div class="shots">{figures}</div>'


def _prompts(report: Mapping[str, Any]) -> str:
    checks, clip = report["prompt"]["checks"], report["prompt"]["clip_score"]
    if not checks:
        return ""
    lines = [
        f"<li>{escape(name)}: {one['agreed']} of {one['asked']}{between(one['interval_95'], '.0%')}</li>"
        for name, one in checks.items()
    ]
    if clip is not None:
        lines.append(f"<li>CLIPScore {clip['mean']:.2f}{between(clip['interval_95'])}</li>")
    return f"<h2>Do they show what was asked for?</h2><ul>{''.join(lines)}</ul>"


def _bleed(report: Mapping[str, Any]) -> str:
    if report["bleed"] is None:
        return ""
    lines = "".join(
        f"<li>{escape(one['prompt'])}: likeness {one['likeness_alone']:.2f} without the adapter, {one['likeness_with_adapter']:.2f} with it; "
        f"it rises by {one['rise']:.2f}{between(one['interval_95'])}</li>"
        if one["compared"]
        else f"<li>{escape(one['prompt'])}: no face to compare</li>"
        for one in report["bleed"]
    )
    return f"<h2>Does it draw you where nobody asked for you?</h2><ul>{lines}</ul>"


def _selfies(report: Mapping[str, Any], selfies: Selfies) -> str:
    held_out = set(report["selfies"]["held_out"])
    figures = "".join(figure(Image.fromarray(rgb), name, False) for name, rgb in selfies.photos if name in held_out)
    trained = len(report["selfies"]["trained_on"])
    return (
        f"<h2>What they are measured by</h2><p>These selfies were held out: the adapter never saw them. It was trained on {trained} others."
        f'</p><div class="shots">{figures}</div>'
    )
