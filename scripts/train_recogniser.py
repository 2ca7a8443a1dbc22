"""Train the recogniser of the drawn world from rendered people.

    accelerate launch scripts/train_recogniser.py --config scripts/recogniser/cpu.yaml \
        --people FOLDER [--people FOLDER ...] --work FOLDER --out FOLDER

The faces are cut once and kept in --work, and so is where training stands: run again, it goes on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import save

from likeness import files
from likeness.faces.world import WorldRecogniser, WorldSettings
from scripts.building import begin, command_line, write_digests
from scripts.pocket_base.fit import fit
from scripts.recogniser import faces as pictures
from scripts.recogniser import learn
from scripts.recogniser.settings import RecogniserTraining


def split(faces: pictures.Faces, held_out: int) -> tuple[pictures.Faces, pictures.Faces]:
    """The faces trained on, and those of the people held out, who are spread evenly over all."""
    people = np.unique(faces.person)
    if len(people) < 2 * held_out:
        raise SystemExit(f"there are {len(people)} people: too few to hold out {held_out}")
    aside = people[np.linspace(0, len(people) - 1, held_out).round().astype(int)]
    return faces.of(np.setdiff1d(people, aside)), faces.of(aside)


def train(settings: RecogniserTraining, faces: pictures.Faces, work: Path, accelerator: Accelerator) -> WorldRecogniser:
    """The network, trained on those faces."""
    config = settings.training
    network = WorldRecogniser(settings.network)
    people = int(faces.person.max()) + 1
    model = learn.CosFace(network, people, config.scale, config.margin).to(accelerator.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub forgets it

    def loss_of(model: torch.nn.Module, rng: np.random.Generator) -> torch.Tensor:
        crops, person = pictures.batch(faces, config.batch, network.side, rng)
        crops = crops.to(accelerator.device, memory_format=torch.channels_last)
        return model(crops, person.to(accelerator.device))

    fit(model, loss_of, config, settings.seed, work / "recogniser.pt", accelerator, config.ema_decay)
    network.cpu()
    learn.settle(network, faces, settings.seed)
    return network


def write(network: WorldRecogniser, figures: dict[str, dict[str, float]], out: Path) -> None:
    """Weights in float16, batch norm in float32, settings with the measured threshold, figures and digests."""
    state = {
        name: value.contiguous().half() if value.dim() > 1 else value.contiguous()
        for name, value in network.state_dict().items()
    }
    measured = {"threshold": figures["held_out"]["threshold"], "different": figures["held_out"]["different_median"]}
    settings = network.settings.model_dump(mode="json") | {key: round(value, 3) for key, value in measured.items()}
    files.write_bytes(out / "model.safetensors", save(state))
    files.write_json(out / "recogniser.json", WorldSettings.parse(settings).model_dump(mode="json"))
    files.write_json(out / "held_out.json", figures)
    write_digests(out, ("held_out.json", "model.safetensors", "recogniser.json"))


def main() -> None:
    arguments = command_line(__doc__).parse_args()
    settings = RecogniserTraining.load(arguments.config, arguments.overrides)
    accelerator = begin(arguments.work, settings.mixed_precision, settings.seed)

    known, unknown = split(pictures.read(arguments.people, arguments.work / "faces.npz"), settings.training.held_out)
    network = train(settings, known, arguments.work, accelerator)
    if accelerator.is_main_process:
        limit = settings.training.false_matches
        figures = {
            name: learn.judge(learn.vectors(network, unknown, face_px), unknown.person, unknown.portrait, limit)
            for name, face_px in (("held_out", None), ("held_out_faces_of_48_px", 48.0))
        }
        print(json.dumps(figures, indent=1))
        write(network, figures, arguments.out)


if __name__ == "__main__":
    main()
