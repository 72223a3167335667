"""Prompts from files: labkit's and PEFT's folders, and matrices that others have saved.

Usage::

    read_prompt("prompts/rt-polarity.npz")            # (P, D)
    read_library("results/transfer-minilm-tasks")     # name → (P, D)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from labkit.core.backbones import Backbone
from labkit.core.errors import LabError, first_line
from labkit.soft_prompt import CONFIG, PEFT_KEY, load_for, load_prompt, require_same_side

_ENDINGS = (".safetensors", ".npz", ".npy", ".pt", ".pth", ".bin")


def read_prompt(path: str | Path, backbone: Backbone | None = None) -> Tensor:
    """The virtual tokens of any saved prompt: (P, D) fp32.

    Args:
        path: a folder as `labkit tune` and PEFT write it, or a file with one matrix in it:
            ``.safetensors``, ``.npz``, ``.npy``, or what torch saved (``.pt``, ``.pth``,
            ``.bin``; read as data only, nothing in it is executed).
        backbone: refuse a folder's prompt that was made for another model, or for another side of
            it, see :func:`~labkit.soft_prompt.load_for`; a bare matrix does not say.

    Raises:
        LabError: for a file that is missing, damaged, of another kind, or without one clear matrix.
    """
    path = Path(path)
    if path.is_dir():
        prompt, card = load_prompt(path) if backbone is None else load_for(backbone, path)
        if backbone is not None:
            require_same_side(backbone, card.side if card else "")
        return _checked_prompt(path, prompt.weight.detach())
    if not path.is_file():
        raise LabError(f"{path} does not exist; give a prompt's folder or file")
    if path.suffix not in _ENDINGS:
        raise LabError(f"{path} is no kind of file that holds a prompt; give {', '.join(_ENDINGS)}")
    try:
        tensors = _READERS[path.suffix](path)
    except Exception as error:  # each format's reader raises whatever the damaged bytes lead to
        raise LabError(
            f"{path} can't be read as a prompt ({first_line(error)[:120]}); save its "
            "matrix again, as .safetensors or .npz"
        ) from error
    return _checked_prompt(path, _only_matrix(path, tensors))


def _read_numpy(path: Path) -> dict[str, Tensor]:
    loaded = np.load(path, allow_pickle=False)
    arrays = {"array": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def _read_torch(path: Path) -> dict[str, Tensor]:
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {"tensor": loaded} if isinstance(loaded, Tensor) else dict(loaded)


_READERS: Mapping[str, Callable[[Path], dict[str, Tensor]]] = {
    ".safetensors": load_file,
    ".npz": _read_numpy,
    ".npy": _read_numpy,
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".bin": _read_torch,
}


def _only_matrix(path: Path, tensors: Mapping[str, object]) -> Tensor:
    matrices = {
        name: value
        for name, value in tensors.items()
        if isinstance(value, Tensor) and value.ndim == 2
    }
    if PEFT_KEY in matrices:
        return matrices[PEFT_KEY]
    if len(matrices) != 1:
        listed = ", ".join(sorted(matrices)) or "none"
        raise LabError(
            f"{path} holds {len(matrices)} matrices ({listed}); a prompt's file holds one, of "
            f"shape (length, hidden size), or one called {PEFT_KEY}"
        )
    return next(iter(matrices.values()))


def _checked_prompt(path: Path, vectors: Tensor) -> Tensor:
    if not vectors.is_floating_point():
        kind = str(vectors.dtype).removeprefix("torch.")
        raise LabError(f"{path} holds {kind}; a prompt's vectors are floating-point numbers")
    vectors = vectors.float()
    if not vectors.numel() or not torch.isfinite(vectors).all():
        raise LabError(f"{path} holds an empty matrix, NaN or infinity; train that prompt again")
    return vectors


def read_library(
    folder: str | Path, seed: int | None = None, backbone: Backbone | None = None
) -> dict[str, Tensor]:
    """Every saved prompt in a folder: name → (P, D).

    Args:
        seed: only those of this seed, whose names end in ``-seed<seed>``; that end is left out.
        backbone: the model that they must have been made for.

    Raises:
        LabError: if there is none, or one of another model.
    """
    end = "" if seed is None else f"-seed{seed}"
    paths = {
        (path.stem if path.is_file() else path.name): path
        for path in sorted(Path(folder).glob("*"))
        if (path / CONFIG).is_file() or path.suffix in _ENDINGS
    }
    prompts = {
        name.removesuffix(end): read_prompt(path, backbone)
        for name, path in paths.items()
        if name.endswith(end)
    }
    if not prompts:
        of_seed = "" if seed is None else f" of seed {seed}"
        raise LabError(
            f"{folder} holds no saved prompts{of_seed}; give a folder of prompts, as "
            "`labkit run transfer` leaves them beside its table"
        )
    return prompts
