"""What the pocket base is trained on and how: views framed as portraits are, noise levels, the autoencoder's closed form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from likeness import resources
from likeness.faces import FaceFinder
from likeness.faces.arrays import Floats
from likeness.faces.framing import MIDDLE, WIDTHS
from likeness.families.recipe import RECIPE_FILE
from scripts.evaluate_pocket_base import dispersion
from scripts.pocket_base import linear, pictures, text
from scripts.pocket_base.denoiser import build_scheduler, noise_levels
from scripts.pocket_base.pictures import Shot, View, about_faces, find_shots, read_pixels, show
from scripts.pocket_base.prompted import Asked, Glasses, agreements
from scripts.pocket_base.settings import BaseSettings, VaeSettings
from scripts.pocket_base.tones import ToneReader, error_of_reading, shares
from scripts.pocket_base.vae import (
    ANCHOR,
    POSTERIOR,
    Autoencoding,
    Encoding,
    Part,
    build,
    picture_error,
    refine,
    settle_posterior,
)

GPU = Path(pictures.__file__).parent / "gpu.yaml"

FACES = {
    "eye_left": [140.0, 90.0],
    "eye_right": [100.0, 90.0],
    "nose": [120.0, 120.0],
    "mouth_left": [135.0, 140.0],
    "mouth_right": [105.0, 140.0],
    "chin": [120.0, 165.0],
}

VAE = VaeSettings(
    channels=(16, 32, 64, 128),
    latent_channels=16,
    layers_per_block=1,
    lr=1e-3,
    batch=1,
    steps=1,
    minutes=(1,),
    refine_lr=1e-3,
    learn_encoder=False,
    latent_noise=0.1,
    face_weight=10,
    texture_weight=0.0,
    pool=1,
)


def person(folder: Path, size: int = 256) -> Path:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(5).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(noise).save(folder / "headshot_00.png")
    shots = {"headshot_00.png": {"words": {"kind": "headshot"}, "landmarks": FACES}, "old.png": {"landmarks": FACES}}
    (folder / "person.json").write_text(json.dumps({"shots": shots}))
    return folder


def test_views_are_framed_around_the_face_as_portraits_are(tmp_path: Path) -> None:
    """By a real detector: on the cohort's portraits the face is as large, and where, a portrait of an adapter's has it."""
    found = []
    finder = FaceFinder()
    for folder in sorted((resources.assets() / "cohort").glob("*/"))[:4]:
        facts = json.loads((folder / "person.json").read_text(encoding="utf-8"))
        facts["shots"] = {name: {**shot, "words": {}} for name, shot in facts["shots"].items() if "headshot" in name}
        copy = tmp_path / folder.name
        copy.mkdir()
        (copy / "person.json").write_text(json.dumps(facts))
        for name in facts["shots"]:
            (copy / name).write_bytes((folder / name).read_bytes())
    shots = find_shots([tmp_path])
    for shot, pixels in zip(shots, read_pixels(shots), strict=True):
        view = View.framed(shot, close=True)
        picture = ((show(pixels, view, 256).permute(1, 2, 0) + 1) * 127.5).byte().numpy()
        for face in finder.find(picture)[:1]:
            found.append((256 / face.size / WIDTHS["close"], face.centre[0] / 256, face.centre[1] / 256))
    assert len(found) >= 0.9 * len(shots)
    size, x, y = np.median(found, axis=0)
    assert size == pytest.approx(1, abs=0.08)
    assert x == pytest.approx(0.5, abs=0.03)
    assert y == pytest.approx(MIDDLE["close"], abs=0.03)


def test_a_view_shows_the_pixels_that_it_names(tmp_path: Path) -> None:
    person(tmp_path / "p1")
    shots = find_shots([tmp_path])
    assert [shot.path.name for shot in shots] == ["headshot_00.png"]
    pixels = read_pixels(shots)[0]
    view = View(close=True, side=0.5, left=0.25, top=0.125, mirrored=False, grey=False)
    shown = show(pixels, view, 128)
    wanted = pixels[:, 32:160, 64:192].float() / 127.5 - 1
    assert torch.allclose(shown, wanted, atol=1e-5)
    mirrored = show(pixels, View(True, 0.5, 0.25, 0.125, mirrored=True, grey=True), 128)
    luma = (wanted * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    assert torch.allclose(mirrored, luma.flip(-1).expand(3, -1, -1), atol=1e-5)


def test_views_never_leave_the_picture(tmp_path: Path) -> None:
    person(tmp_path / "p1")
    shot = find_shots([tmp_path])[0]
    rng = np.random.default_rng(0)
    for _ in range(300):
        view = View.draw(shot, rng)
        assert 0 <= view.left <= 1 - view.side + 1e-9
        assert 0 <= view.top <= 1 - view.side + 1e-9


def test_noise_levels_are_normal_in_log_snr() -> None:
    """Drawn timesteps have the mean and deviation that were asked for, but for the share at no signal at all."""
    levels = noise_levels(0.5, 1.5)
    assert levels[-1] == pytest.approx(1)
    drawn = torch.searchsorted(
        levels, torch.rand(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )
    assert (drawn == 999).double().mean() == pytest.approx(0.02, abs=0.002)
    alphas = build_scheduler().alphas_cumprod.double()[drawn[drawn < 999]]
    logs = (alphas / (1 - alphas)).log()
    assert float(logs.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(logs.std()) == pytest.approx(1.5, abs=0.03)


def test_a_face_weighs_where_the_view_shows_it() -> None:
    shot = Shot(Path("a.png"), {}, centre=(0.4, 0.3), size=0.2)
    view = View(close=False, side=0.5, left=0.2, top=0.1, mirrored=False, grey=False)
    mirrored = View(close=False, side=0.5, left=0.2, top=0.1, mirrored=True, grey=False)
    weights, flipped = about_faces(torch.tensor([view.face(shot), mirrored.face(shot)]), 50)[:, 0]
    # On the view the face is in the middle of a width of 0.4 and two fifths from the left and from the top.
    assert weights.shape == (50, 50) and divmod(int(weights.argmax()), 50) in {
        (y, x) for y in (19, 20) for x in (19, 20)
    }
    assert float(weights[20, 20]) > 0.99 and float(weights[20, 20 + 16]) < 0.1 and float(weights[20 + 18, 20]) < 0.1
    assert torch.allclose(flipped, weights.flip(-1), atol=1e-5)


def test_the_error_of_a_picture_is_the_formula() -> None:
    rng = np.random.default_rng(2)
    error, weights = rng.normal(size=(2, 3, 5, 6)), rng.uniform(size=(2, 1, 5, 6))
    total = 0.0
    for n, c, y, x in np.ndindex(error.shape):
        total += weights[n, 0, y, x] * (error[n, c, y, x] ** 2 + 0.1 * abs(error[n, c, y, x])) / error.size
        if x:
            total += 0.1 * weights[n, 0, y, x] * abs(error[n, c, y, x] - error[n, c, y, x - 1]) / (2 * 3 * 5 * 5)
        if y:
            total += 0.1 * weights[n, 0, y, x] * abs(error[n, c, y, x] - error[n, c, y - 1, x]) / (2 * 3 * 4 * 6)
    assert float(picture_error(torch.tensor(error), torch.tensor(weights))) == pytest.approx(total)


def test_the_configuration_says_how_the_shipped_base_is_sampled() -> None:
    """Or a base that somebody makes anew would be drawn, and gated, in another way than the one that was measured."""
    shipped = json.loads((resources.assets() / "pocket" / RECIPE_FILE).read_text(encoding="utf-8"))
    assert BaseSettings.load(GPU).recipe.model_dump(exclude_unset=True, mode="json") == shipped


def test_a_base_that_goes_on_learns_the_words_of_its_new_captions(tmp_path: Path) -> None:
    settings = BaseSettings.load(GPU).denoiser
    known = ["a photo of a person, grey background, head and shoulders", "a photo of kala person, a blue top"] * 20
    old = text.make_tokenizer(known, settings.model_copy(update={"vocabulary": 600}), tmp_path / "old")
    encoder: Any = text.build_text_encoder(old, settings)
    before = encoder.get_input_embeddings().weight.detach().clone()
    spelt: Any = old.convert_tokens_to_ids(old.tokenize("camera"))
    assert len(spelt) > 1
    new = text.learn_words(old, encoder, ["a photo of a person, facing the camera"] * 9 + known, tmp_path / "new")
    table = encoder.get_input_embeddings().weight.detach()
    assert new.tokenize("facing the camera") == ["facing</w>", "the</w>", "camera</w>"]
    assert all(new.tokenize(caption) == old.tokenize(caption) for caption in known)
    assert torch.equal(table[: len(before)], before) and len(table) == len(new) == encoder.config.vocab_size
    assert torch.allclose(table[new.convert_tokens_to_ids("camera</w>")], before[spelt].mean(0))
    assert (new.eos_token_id, new.pad_token_id, new.model_max_length) == (old.eos_token_id, old.pad_token_id, 48)


def test_the_posterior_is_narrow_everywhere_and_about_the_same_mean() -> None:
    torch.manual_seed(0)
    vae = build(VAE, 32)
    assert vae.quant_conv is not None
    vae.register_to_config(scaling_factor=0.25)
    real = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        vae.quant_conv.weight.mul_(5)
        before = vae.encode(real).latent_dist
        settle_posterior(vae)
        after = vae.encode(real).latent_dist
    assert torch.equal(after.mean, before.mean) and float(before.std.std()) > 0.01
    assert torch.allclose(after.std, torch.tensor(POSTERIOR / 0.25), rtol=1e-5)


@pytest.mark.parametrize("encoder", [False, True])
def test_refining_moves_the_encoder_only_where_it_is_to_learn(encoder: bool) -> None:
    vae = build(VAE, 32)
    linear.construct(vae, torch.rand(24, 3, 32, 32) * 2 - 1)
    model = Autoencoding(vae, VAE.model_copy(update={"learn_encoder": encoder}))
    model(torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32), torch.randn(2, 16, 4, 4)).backward()
    moved = {name.partition(".")[0] for name, parameter in vae.named_parameters() if parameter.grad is not None}
    assert moved == {"decoder", "post_quant_conv"} | ({"encoder", "quant_conv"} if encoder else set())


@pytest.mark.parametrize(
    "part, parts", [("decoder", {"decoder", "post_quant_conv"}), ("encoder", {"encoder", "quant_conv"})]
)
def test_refining_a_finished_base_moves_one_part(tmp_path: Path, part: Part, parts: set[str]) -> None:
    """Whatever the configuration says: denoiser and adapters were trained on what the encoder gives and the decoder draws."""
    small = ["size=32", "mixed_precision=no", "vae.channels=[16,32,64]", "vae.pool=2", "vae.batch=2"]
    settings = BaseSettings.load(GPU, [*small, "vae.steps=1", "vae.minutes=[0,0,1]"])
    vae = build(settings.vae, 32)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    person(tmp_path / "people" / "p1", 64)
    shots = find_shots([tmp_path / "people"])
    refine(vae, settings, shots, read_pixels(shots), tmp_path / "part.pt", Accelerator(cpu=True), part)
    moved = {name.partition(".")[0] for name, value in vae.state_dict().items() if not torch.equal(value, before[name])}
    assert settings.vae.learn_encoder and moved == parts


def test_an_encoder_that_learns_on_is_held_to_its_latents() -> None:
    """Where it starts, the loss is the plain one; moved latents cost `ANCHOR` of their squared distance in parts of the variance."""
    vae = build(VAE, 32)
    linear.construct(vae, torch.rand(24, 3, 32, 32) * 2 - 1)
    real, weights, noise = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32), torch.randn(2, 16, 4, 4)
    with torch.no_grad():
        model = Encoding(vae, VAE)
        first = vae.encode(real).latent_dist.mean
        assert float(model(real, weights, noise)) == pytest.approx(float(Autoencoding(vae, VAE)(real, weights, noise)))
        assert vae.quant_conv is not None and vae.quant_conv.bias is not None
        vae.quant_conv.bias[: VAE.latent_channels] += 0.5 * first.std()
        moved = vae.encode(real).latent_dist.mean
        held = float(model(real, weights, noise) - model.error(moved, real, weights, noise))
    assert held == pytest.approx(ANCHOR * 0.25, rel=1e-3)


def test_noise_on_latents_is_in_parts_of_their_deviation() -> None:
    """So much noise costs a decoder the same whatever the scale of its latents; without any, it is the plain error."""
    torch.manual_seed(0)
    vae = build(VAE, 32)
    linear.construct(vae, torch.rand(24, 3, 32, 32) * 2 - 1)
    real, ones = torch.rand(2, 3, 32, 32), torch.ones(2, 1, 32, 32)
    with torch.no_grad():
        latents = vae.encode(real).latent_dist.mean
        noise = torch.randn_like(latents)
        wanted = picture_error(vae.decode(latents + 0.1 * latents.std() * noise).sample - real, ones)
        assert float(Autoencoding(vae, VAE)(real, ones, noise)) == pytest.approx(float(wanted), rel=1e-5)
        plain = Autoencoding(vae, VAE.model_copy(update={"latent_noise": 0.0}))(real, ones, noise)
        assert float(plain) == pytest.approx(float(picture_error(vae.decode(latents).sample - real, ones)), rel=1e-5)


def test_the_closed_form_autoencoder_is_principal_components() -> None:
    """The whole encoder gives what `linear.features` computes, and the decoder's last level gives the colours back."""
    torch.manual_seed(0)
    vae = build(VAE, 32)
    smooth = torch.nn.functional.interpolate(torch.rand(24, 3, 8, 8), (32, 32), mode="bicubic").clamp(0, 1) * 2 - 1
    linear.construct(vae, smooth)
    found, latents = linear.features(vae, smooth)
    with torch.no_grad():
        whole = vae.encode(smooth).latent_dist.mean
    assert torch.allclose(whole, latents, atol=1e-2 * float(latents.std()))
    assert [tuple(each.shape[1:]) for each in found] == [(3, 32, 32), (12, 16, 16), (32, 8, 8)]
    # An orthonormal projection keeps at most the energy, and the first components of smooth pictures keep nearly all of it.
    centred = smooth - smooth.mean((0, 2, 3), keepdim=True)
    kept = found[1] - found[1].mean((0, 2, 3), keepdim=True)
    assert 0.99 <= float(kept.square().sum() / centred.square().sum()) <= 1.001


def test_glasses_are_read_off_the_eyes_of_people_not_seen_before() -> None:
    """Portraits of half of the people, some of whom wear glasses, teach it, and those of the other half are read."""
    finder, known = FaceFinder(), []
    for folder in sorted((resources.assets() / "cohort").glob("*/")):
        shots = json.loads((folder / "person.json").read_text())["shots"]
        for path in sorted(folder.glob("headshot_*.jpg"))[:1]:
            portrait = Image.open(path).convert("RGB").resize((256, 256))
            known += agreements([Asked(portrait, "", {}, shots[path.name]["glasses"], folder.name)], finder)[1]
    people = sorted({patch.person for patch in known})
    reader = Glasses([patch for patch in known if patch.person in people[::2]])
    read: dict[bool, list[bool]] = {True: [], False: []}
    for patch in known:
        if patch.person in people[1::2]:
            read[patch.glasses].append(reader.worn(patch) == patch.glasses)
    assert min(map(len, read.values())) >= 6
    assert min(map(np.mean, read.values())) >= 0.9


def test_tones_are_read_without_drawing_the_outermost_inwards() -> None:
    """As many are read as there are, of colours that lie on a curve with noise; and people who are left out are read by the others."""
    rng = np.random.default_rng(0)

    def colours(tones: Floats) -> Floats:
        curve = np.stack([-0.02 * tones**2, -0.3 * tones, np.sqrt(tones + 1)], axis=1)
        return curve + rng.normal(0, 0.12, curve.shape) @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1.0]])

    tones, people = np.repeat(np.arange(10.0), 40), np.tile(np.arange(20.0), 20)
    reader = ToneReader(colours(tones), tones)
    others = np.repeat(np.arange(10.0), 100)
    read = reader.read(colours(others))
    assert shares(read) == pytest.approx([0.1] * 10, abs=0.03)
    assert np.abs(read - others).mean() < 0.5
    assert error_of_reading(colours(tones), tones, people) == pytest.approx(float((read - others).std()), abs=0.1)


def test_dispersion_is_between_people() -> None:
    """Three pictures of one and one of another: only the three pairs that cross count."""
    vectors: list[Floats | None] = [np.array(one) for one in ([1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0])]
    assert dispersion([*vectors, None], [7, 7, 7, 8, 8]) == pytest.approx(1 - (0 + 0.6 + 0.8) / 3)
    assert dispersion(vectors) == pytest.approx(1 - (0.8 + 0.6 + 0 + 0.96 + 0.6 + 0.8) / 6)
    assert dispersion([vectors[0], None]) is None
