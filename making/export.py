"""Stage 5: write the model as a folder that transformers loads, with its figures in the card."""

import json
import math
import shutil
from pathlib import Path

import torch
from transformers import CLIPImageProcessorPil, CLIPModel, PreTrainedTokenizerFast

from .captions import build_vocabulary
from .card import write_card
from .measure import best_scale
from .networks import MEAN, STD
from .pictures import SIZE, Pictures
from .tokenizer import build_tokenizer
from .train_joint import merged
from .train_student import new_model

MODEL = Path(__file__).parents[1] / "model"


def export(pictures: Pictures, cache: Path) -> None:
    """Replace demo/model/ by the latest model: the joint one, or the two separate towers before that exists."""
    tokens = build_tokenizer(build_vocabulary(pictures.concepts))
    if (cache / "joint.pt").exists():
        model = new_model(pictures)
        model.load_state_dict(torch.load(cache / "joint.pt", weights_only=True)["average"])
    else:
        model = merged(pictures, cache)
    model.eval()
    with torch.no_grad():
        model.logit_scale.fill_(math.log(best_scale(model, tokens, pictures)))
    aside = cache / "model"
    shutil.rmtree(aside, ignore_errors=True)
    _write(aside, model, tokens)
    write_card(aside, model, tokens, pictures, _minutes(cache))
    shutil.copyfile(cache / "openmoji" / "LICENSE.txt", aside / "LICENSE")  # CC BY-SA 4.0, as the set itself brings it
    MODEL.mkdir(exist_ok=True)
    for file in sorted(aside.iterdir()):  # one rename each: whoever reads meanwhile finds whole files
        part = MODEL / f".{file.name}.part"
        shutil.copyfile(file, part)
        part.rename(MODEL / file.name)


def _minutes(cache: Path) -> int:
    """Minutes of training over all stages so far, from their checkpoints."""
    files = [cache / f"{stage}.pt" for stage in ("student", "text", "joint")]
    return round(sum(float(torch.load(f, weights_only=True)["seconds"]) for f in files if f.exists()) / 60)


def _write(folder: Path, model: CLIPModel, tokens: PreTrainedTokenizerFast) -> None:
    model.save_pretrained(folder)
    tokens.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": SIZE},
        crop_size={"height": SIZE, "width": SIZE},
        image_mean=[MEAN] * 3,
        image_std=[STD] * 3,
        do_convert_rgb=True,
    ).save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    # As openai/clip-vit-base-patch32 names it: the reader chooses the back end.
    settings["image_processor_type"] = "CLIPImageProcessor"
    file.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
