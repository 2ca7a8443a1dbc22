"""The commands of the rendering half: `likeness render`, `certify`, `audit`, `styles`, `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likeness.errors import LikenessError, printable

if TYPE_CHECKING:
    from inference.choice import Choice
    from inference.headshots import RenderRequest
    from likeness.person import Person

SlotOption = Annotated[str | None, typer.Option(help="Words for this slot of the style; `likeness styles` lists some.")]
LicenceOption = Annotated[bool, typer.Option("--accept-license", help="You read the base's licence, and may use it.")]
LIKED = "as the base likes it"
GATE_HELP = "A gate's mode, such as texture=warn (off, warn, reject); repeatable. Gates: faults, skin, shape, texture, marks, hair, copying, setting, likeness."
WORDS_HELP = "With --guidance-from base: guidance by the words besides; 1 is none, 3 makes more of clothes and light."
FROM_HELP = "What guidance leads away from: the negative words (words), or the base without the adapter (base)."
SCHEDULER_HELP = "base, ddim, euler, dpm++, unipc, euler-trailing or lcm."
QUANTIZE_HELP = "The base, text encoders too, in fewer bits: nf4, llm-int8, int8, fp8."
FACE_HELP = "Draw the face again, closer, from this share of the noise: 0 (not at all) to below 1."
RECOGNISER_HELP = "What measures likeness: dlib, world (drawn people only), or a manifest (*.yaml)."
VARIANT_HELP = "A distilled relative of the base, in its place or beneath the adapter: a name, folder, Hub id or file (docs/rendering.md)."


def register(app: typer.Typer) -> None:
    """Adds this half's commands to the command line."""
    app.command("render")(render)
    app.command("certify")(certify)
    app.command("audit")(audit)
    app.command("styles")(styles)
    app.command("verify")(verify)


def render(
    folder: Annotated[Path, typer.Argument(metavar="PERSON", help="The person's folder, such as people/ana.")],
    style: Annotated[str, typer.Option(help="A style's name, or a style file (*.yaml).")] = "studio-grey",
    count: Annotated[int, typer.Option(min=1, help="Headshots that pass the gates.")] = 8,
    oversample: Annotated[float, typer.Option(min=1, help="Candidates drawn at least for each headshot kept.")] = 1.0,
    max_oversample: Annotated[float, typer.Option(min=1, help="Candidates drawn at most for each headshot.")] = 4.0,
    gate: Annotated[list[str] | None, typer.Option(help=GATE_HELP, show_default="the base's own")] = None,
    keep_rejected: Annotated[bool, typer.Option(help="Keep the pictures of rejected candidates too.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**53, help="Seed of the first picture; the others follow on.")] = 0,
    adapter: Annotated[str | None, typer.Option(help="Its name, folder or file.", show_default="the newest")] = None,
    weight: Annotated[float, typer.Option(min=0, max=10, help="Strength of the adapter; 1 is as trained.")] = 1.0,
    subject: Annotated[str | None, typer.Option(help="Words for the person.", show_default="the adapter's")] = None,
    glasses: Annotated[bool | None, typer.Option(help="Draw glasses.", show_default="as on most selfies")] = None,
    base: Annotated[str | None, typer.Option(help="Base model.", show_default="the adapter's")] = None,
    size: Annotated[int, typer.Option(min=16, max=8192, help="Longer side of the written pictures in px.")] = 1024,
    format: Annotated[str, typer.Option(help="png, jpeg or webp.")] = "png",
    shape: Annotated[str | None, typer.Option(help="Drawn px, such as 1024x1280.", show_default=LIKED)] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Denoising steps.", show_default=LIKED)] = None,
    guidance: Annotated[float | None, typer.Option(min=1, help="Guidance; 1 is none.", show_default=LIKED)] = None,
    guidance_from: Annotated[str | None, typer.Option(help=FROM_HELP, show_default=LIKED)] = None,
    words_guidance: Annotated[float | None, typer.Option(min=1, help=WORDS_HELP, show_default=LIKED)] = None,
    scheduler: Annotated[str | None, typer.Option(help=SCHEDULER_HELP, show_default=LIKED)] = None,
    eta: Annotated[float | None, typer.Option(help="Noise put back, 0 to below 1.", show_default=LIKED)] = None,
    face_strength: Annotated[float | None, typer.Option(help=FACE_HELP, show_default=LIKED)] = None,
    references: Annotated[int, typer.Option(min=0, max=4, help="Selfies that the base looks at while it draws.")] = 0,
    variant: Annotated[str | None, typer.Option(help=VARIANT_HELP)] = None,
    fast: Annotated[bool, typer.Option("--fast", help="As --variant fast: the first that takes the adapter.")] = False,
    batch: Annotated[int, typer.Option(min=1, help="Pictures drawn at once; does not change them.")] = 4,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu.", show_default="the best there is")] = None,
    accept_license: LicenceOption = False,
    quantize: Annotated[str, typer.Option(help=QUANTIZE_HELP)] = "none",
    offload: Annotated[bool, typer.Option("--offload", help="Keep on the GPU only the blocks at work.")] = False,
    light: SlotOption = None,
    background: SlotOption = None,
    outfit: SlotOption = None,
    framing: SlotOption = None,
    expression: SlotOption = None,
    pose: SlotOption = None,
) -> None:
    """Draw headshots of a person until enough pass the gates, rank them by likeness, write them into the person's folder."""
    from inference.choice import Choice
    from likeness.person import Person

    person = Person.open(folder)
    sampling = _sampling(guidance, guidance_from, words_guidance, steps, scheduler, eta, face_strength) | _sides(shape)
    wanted = {"style": style, "choices": _choices(light, background, outfit, framing, expression, pose), "count": count,
              "oversample": oversample, "max_oversample": max_oversample, "gates": _modes(gate or []), "seed": seed, "subject": subject,
              "keep_rejected": keep_rejected, "glasses": glasses, "size": size, "format": format, "batch": batch, "sampling": sampling}  # fmt: skip
    which = _adapter(person, adapter), base, weight, device, variant or ("fast" if fast else None)
    _render(person, _request(wanted), Choice(*which, references, accept_license, quantize, offload))


def certify(
    folder: Annotated[Path, typer.Argument(metavar="PERSON", help="The person's folder, such as people/ana.")],
    adapter: Annotated[str | None, typer.Option(help="Its name.", show_default="the newest")] = None,
    recogniser: Annotated[str | None, typer.Option(help=RECOGNISER_HELP, show_default="dlib")] = None,
    bleed: Annotated[int, typer.Option(min=0, help="Pictures for each of two prompts that do not ask for them.")] = 0,
    clip: Annotated[str | None, typer.Option(help="A CLIP model's folder or Hub id, to score prompts by.")] = None,
    accept_license: LicenceOption = False,
) -> None:
    """Measure an adapter's headshots against the held-out selfies: likeness, copying, what changed, how many are good."""
    from rich.console import Console
    from rich.progress import Progress

    from inference import certificate
    from likeness.person import Person

    person = Person.open(folder)
    person.require_consent()
    chosen = person.adapter(adapter)
    settings = certificate.CertificateSettings.parse(
        {"bleed": bleed, "clip": clip, "accept_license": accept_license, **_named(recogniser)}
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Looking at the selfies and the cohort", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, description="Examining", completed=done, total=total)

        record, page = certificate.certify(person, chosen, settings, progress)
    typer.echo(f"Certificate: {page}")
    typer.echo(f"In numbers:  {record}")


def audit(
    folder: Annotated[Path, typer.Argument(metavar="PEOPLE", help="The folder that people's folders lie in.")],
    labels: Annotated[
        Path | None, typer.Option(help="Groups (JSON or CSV).", show_default="labels.json or labels.csv in PEOPLE")
    ] = None,
    adapter: Annotated[str | None, typer.Option(help="Its name.", show_default="each person's newest")] = None,
    recogniser: Annotated[str | None, typer.Option(help=RECOGNISER_HELP, show_default="dlib")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of audit.json and .html.", show_default="PEOPLE")] = None,
    render: Annotated[int, typer.Option(min=0, help="First draw so many headshots of who has none.")] = 0,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 when a group is served worse.")] = False,
    accept_license: LicenceOption = False,
) -> None:
    """Compare how well headshots serve groups of people, by labels that are given; nothing is guessed from faces."""
    from rich.console import Console
    from rich.progress import Progress

    from inference.audit import audit as run
    from inference.audit import people_in, render_missing
    from inference.audit_page import NO_GROUPS
    from inference.audit_report import AuditSettings, finding_lines

    settings = AuditSettings.parse({"adapter": adapter, **_named(recogniser)})
    if render:
        render_missing(people_in(folder), adapter, render, accept_license)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Looking at the cohort", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, description="Measuring people", completed=done, total=total)

        report, page = run(folder, labels, settings, out, progress)
    found = finding_lines(report)
    compared = len(report["groups"])
    nothing = f"No group is served worse beyond chance, of {compared} compared." if compared else NO_GROUPS
    for line in found or [nothing]:
        typer.echo(line)
    for one in report["left_out"]:
        typer.echo(f"not measured: {one['person']}: {one['why']}", err=True)
    typer.echo(f"Audit:      {page}")
    typer.echo(f"In numbers: {page.with_suffix('.json')}")
    if found and fail:
        raise typer.Exit(1)


def styles() -> None:
    """List the headshot styles and what can be chosen in each."""
    from inference.styles import SLOTS, load_styles

    for name, style in load_styles().items():
        typer.secho(name, bold=True, nl=False)
        typer.echo(f"  {style.description}")
        for slot in SLOTS:
            if slot in style.slots:
                others = [option for option in style.slots[slot].options if option != style.slots[slot].default]
                typer.echo(f"  {'--' + slot:<13} {' | '.join([style.slots[slot].default, *others])}")
    typer.echo("The first of each is taken unless you give another, or words of your own.")


def verify(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A PNG, JPEG or WebP picture.")],
    root: Annotated[
        list[Path] | None, typer.Option(help="Somebody's root.pem: what they signed is trusted too.")
    ] = None,
) -> None:
    """Say whether a picture was made by a machine and whether it was changed since it was signed.

    Exit status: 0 when the signature holds, 1 when it does not or there is none, 2 when the command itself was wrong.
    """
    from inference.credentials import verify as verify_picture

    meanings = {
        "trusted": f"unchanged since {'a signer whom you trust' if root else 'this installation'} signed it",
        "valid": "unchanged since it was signed, by a signer whom this installation does not know",
        "invalid": "changed since it was signed, or the signature is damaged",
        "unsigned": "it carries no content credentials",
    }
    verdict = verify_picture(path, roots=root or ())
    typer.echo(f"{verdict.state}: {meanings[verdict.state]}")
    problems = "; ".join(verdict.problems)
    for label, text in (("signer", verdict.signer), ("source", verdict.source_type), ("problems", problems)):
        if text:
            typer.echo(f"{label:<9} {printable(text)}")
    if verdict.state not in ("trusted", "valid"):
        raise typer.Exit(1)


def _named(recogniser: str | None) -> dict[str, str]:
    return {} if recogniser is None else {"recogniser": recogniser}


def _adapter(person: Person, given: str | None) -> Path:
    """The person's adapter of that name, else a file or folder; their newest without a name."""
    own = [path for path in person.adapter_folders() if path.name == given]
    if given and not own and (Path(given).exists() or "/" in given or given.endswith(".safetensors")):
        return Path(given)
    return person.adapter(given)


def _modes(pairs: list[str]) -> dict[str, str]:
    """{gate: mode} of texts "gate=mode"."""
    modes = {}
    for pair in pairs:
        gate, equals, mode = pair.partition("=")
        if not equals:
            raise LikenessError(f"{pair!r} is no gate's mode", "Write gate=mode, for instance --gate texture=warn")
        modes[gate.strip()] = mode.strip()
    return modes


def _choices(*words: str | None) -> dict[str, str]:
    """{slot: words} of the slots, in their order, that were given any."""
    from inference.styles import SLOTS

    return {name: given for name, given in zip(SLOTS, words, strict=True) if given is not None}


def _sampling(*given: Any) -> dict[str, Any]:
    names = "guidance_scale", "guidance_from", "words_scale", "steps", "scheduler", "eta", "face_strength"
    return dict(zip(names, given, strict=True))


def _sides(shape: str | None) -> dict[str, int]:
    """Width and height of a text "1024x1280"; nothing of none."""
    if shape is None:
        return {}
    width, _, height = shape.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise LikenessError(f"{shape!r} is no shape", "Write width x height in px, for instance --shape 1024x1280")
    return {"width": int(width), "height": int(height)}


def _request(values: dict[str, Any]) -> RenderRequest:
    """Raises LikenessError for a misspelt style, too: before a large base is loaded."""
    from inference.headshots import RenderRequest
    from inference.prompts import compose
    from inference.styles import find_style

    request = RenderRequest.parse(values)
    compose(find_style(request.style), request.choices, "")
    return request


def _render(person: Person, request: RenderRequest, chosen: Choice) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from inference import headshots
    from inference.choice import renderer_of
    from inference.credentials import Signer, available
    from inference.index import INDEX, read_index

    person.require_consent()
    if available():
        Signer()  # a key that cannot be made is better known before a large base is loaded
    console = Console(stderr=True)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Loading the base", total=None)
        renderer = renderer_of(person, chosen)
        console.print(f"base: {renderer.base}, licence: {renderer.family.licence}", highlight=False, soft_wrap=True)

        def progress(done: int, total: int) -> None:
            bar.update(task, description="Drawing", completed=done, total=total)

        try:
            folder, shots = headshots.render(person, request, renderer, chosen.adapter, progress)
        except KeyboardInterrupt:
            typer.echo(f"stopped; what was drawn until then, if anything, is in {person.headshots}", err=True)
            raise
    gates = read_index(folder / INDEX).gates
    for shot in shots:
        measured = "" if shot.assessment.likeness is None else f"  likeness {shot.assessment.likeness:.2f}"
        typer.echo(f"{shot.path}{measured}  {gates.remarks(shot.assessment.failures)}".rstrip())
    typer.echo(f"Contact sheet: {folder / headshots.SHEET}")
    typer.echo(f"In numbers:    {folder / INDEX}")
    if not available():
        typer.echo("The pictures are not signed: pip install 'likeness[credentials]' adds signing.", err=True)
