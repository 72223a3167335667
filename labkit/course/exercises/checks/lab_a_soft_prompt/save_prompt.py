"""Milestone A.8: the check of ``save_prompt``."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.checks.lab_a_soft_prompt.small_model import WIDTH, frozen_model
from labkit.course.exercises.compare import Draw, require
from labkit.course.exercises.guard import CheckFailed, Guarded
from labkit.course.exercises.show import plain, shown

WEIGHTS, CONFIG, KEY = "adapter_model.safetensors", "adapter_config.json", "prompt_embeddings"


@exercise
def check_save_prompt(save_prompt: Guarded, draw: Draw) -> str:
    """``save_prompt``: vectors (P, D), folder, the model's name → a folder that PEFT opens."""
    leaf = nn.Parameter(draw.normal(4, WIDTH))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "prompts" / "mine"
        for vectors, name in (
            (draw.normal(3, WIDTH), "some/model"),
            (leaf, "a folder/of mine"),  # replaces the one before; needs a gradient
            (draw.normal(WIDTH, 2).T, "other/model"),  # laid out in columns
            (draw.normal(1, WIDTH), "m"),
            (draw.normal(2, WIDTH).half(), 'C:\\modèles\\"mien"'),  # a name may hold anything
        ):
            save_prompt(vectors, folder, name)
            _require_files(folder, vectors.detach(), name)
            _require_peft(folder, vectors.detach(), frozen_model(draw, len(vectors)))
        save_prompt(draw.normal(2, WIDTH), Path(scratch) / "other", "m")
        kept = load_file(folder / WEIGHTS)[KEY]
        require(torch.equal(kept, vectors), f"saving to another folder changed {folder.name}")
    return "saved: PEFT opens it, and its model answers as yours does"


def _require_files(folder: Path, vectors: Tensor, name: str) -> None:
    """What the text says of the two files, each fault by itself."""
    there = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    for file in (WEIGHTS, CONFIG):
        require(file in there, f"{file} is missing: in the folder there is {there or 'nothing'}")
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise CheckFailed(
            f"{WEIGHTS} is no file of that format ({error}): write it with safetensors.torch"
        ) from error
    require(
        list(tensors) == [KEY], f"{WEIGHTS} holds {sorted(tensors)}: PEFT looks for `{KEY}` alone"
    )
    saved = tensors[KEY]
    require(
        saved.shape == vectors.shape,
        f"`{KEY}` is {shown(saved)}, the prompt {shown(vectors)}: a row for each virtual token",
    )
    require(
        saved.dtype == vectors.dtype,
        f"the vectors are saved as {saved.dtype}, and theirs is {vectors.dtype}: in their own "
        "precision; rounding loses what small steps have learnt",
    )
    require(torch.equal(saved, vectors), "the vectors in the file are not those of the prompt")
    _require_config(folder / CONFIG, vectors, name)


def _require_config(file: Path, vectors: Tensor, name: str) -> None:
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise CheckFailed(f"{CONFIG} is no JSON ({error}): write it by json.dumps") from error
    require(isinstance(config, dict), f"{CONFIG} holds {shown(config)}: PEFT wants an object")
    wanted: dict[str, tuple[Callable[[Any], bool], str]] = {
        "peft_type": (lambda v: v == "PROMPT_TUNING", "the kind of adapter, PROMPT_TUNING"),
        "task_type": (lambda v: v == "CAUSAL_LM", "a causal language model, CAUSAL_LM"),
        "num_virtual_tokens": (lambda v: v == len(vectors), f"P, here {len(vectors)}"),
        "token_dim": (lambda v: v == vectors.shape[1], f"D, here {vectors.shape[1]}"),
        "base_model_name_or_path": (lambda v: v == name, f"the model's name, here {name!r}"),
    }
    for key, (fits, meaning) in wanted.items():
        require(key in config, f"{CONFIG} lacks `{key}`: {meaning}")
        require(fits(config[key]), f"`{key}` in {CONFIG} is {plain(config[key])}: it is {meaning}")


def _require_peft(folder: Path, vectors: Tensor, model: nn.Module) -> None:
    """PEFT's own forward against the vectors laid in front by hand."""
    from peft import PeftModel  # takes seconds to import

    ids = torch.tensor([[3, 1, 4, 1, 5]])
    text = model.get_input_embeddings()(ids)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model(inputs_embeds=torch.cat([vectors[None].float(), text], 1)).logits[0, -1]
        try:
            opened = PeftModel.from_pretrained(model, str(folder))
        except Exception as error:  # whatever PEFT makes of what the files say
            raise CheckFailed(f"PEFT can't open it ({type(error).__name__}: {error})") from error
        seen = opened(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
    require(
        torch.allclose(seen, expected, rtol=1e-4, atol=1e-4),
        "PEFT opens it, and its model answers otherwise than with these vectors in front: compare "
        "the configuration with the table",
    )
