"""A pretend accelerator: tensors say that they are on another device, and compute on the CPU.

Within :func:`pretended` a tensor made on or moved to the device ``meta`` holds real numbers, and an
operation that mixes it with a CPU tensor fails as it does on CUDA, as do NumPy on it and random
numbers for it from a generator of the CPU. So code that forgets to move a tensor is found on a
machine without a GPU. What CUDA allows is allowed here: numbers without dimension from the CPU, CPU
indices into a tensor of the device, and copies.

What the CPU would have to wait for there is counted: numbers, masks and tensors that come back, and
tensors that go there but for ``non_blocking=True``.

Usage::

    with pretended() as device:
        backbone = load_backbone(folder, device=device)
        with waits() as counted:
            backbone.word_scores(batch, vectors, words)
    counted.total()
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from labkit.core import proofs
from labkit.core.attention import use_fused_kernel

DEVICE = torch.device("meta")
_ops = torch.ops.aten
_COPIES = {_ops._to_copy.default, _ops.copy_.default}
_LOOK_UPS = {
    _ops.index.Tensor,
    _ops._unsafe_index.Tensor,
    _ops.index_put.default,
    _ops.index_put_.default,
    _ops._index_put_impl_.default,
    _ops._unsafe_index_put.default,
}
_WAITING = {_ops._local_scalar_dense.default, _ops.nonzero.default, _ops.equal.default}
_waits: Counter[str] = Counter()


class Remote(torch.Tensor):
    """A tensor of the pretended device; ``held`` is where its numbers are."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> Remote:
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        tensor.held = held
        return tensor

    def __repr__(self, **_: object) -> str:
        return f"Remote({self.held})"

    def tolist(self) -> Any:
        _waits["tolist"] += 1
        return self.held.tolist()

    def numpy(self, **_: object) -> Any:
        raise TypeError("can't convert a tensor of the device to numpy; use Tensor.cpu() first")

    def __array__(self, *_: object) -> Any:
        return self.numpy()

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter
    def data(self, other: Remote) -> None:
        torch.Tensor.data.__set__(self, other)
        self.held = other.held

    def __getitem__(self, index: object) -> torch.Tensor:
        def as_tensor(part: object) -> object:
            return _plain_tensor(part) if isinstance(part, list | np.ndarray) else part

        parts = tuple(map(as_tensor, index)) if isinstance(index, tuple) else as_tensor(index)
        return torch.Tensor.__getitem__(self, parts)

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


_plain_tensor, _plain_inference_mode = torch.tensor, torch.inference_mode


def _held(value: object) -> object:
    return value.held if isinstance(value, Remote) else value


def _run(operation: Any, args: tuple, kwargs: dict) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    remote = [tensor for tensor in tensors if isinstance(tensor, Remote)]
    local = [tensor for tensor in tensors if not isinstance(tensor, Remote)]
    if remote and local and operation not in _COPIES:
        _check_mixture(operation, args, local)
    if operation is _ops._fused_sdp_choice.default:
        return 0  # the kernel in plain steps
    wanted = kwargs.get("device")
    wanted = None if wanted is None else torch.device(wanted).type
    if remote or wanted == DEVICE.type:
        _check_generators(operation, args, kwargs)
        _count(operation, args, kwargs, wanted)
    kwargs = {name: tree_map(_held, value) for name, value in kwargs.items()}
    if wanted is not None:
        kwargs["device"] = torch.device("cpu")
    if operation is _ops.copy_.default:
        _held(args[0]).copy_(_held(args[1]))
        return args[0]
    if operation is _ops._to_copy.default:
        kwargs.pop("non_blocking", None)
        copied = operation(*tree_map(_held, args), **kwargs)
        stays = wanted is None and bool(remote)
        return Remote(copied) if stays or wanted == DEVICE.type else copied
    result = operation(*tree_map(_held, args), **kwargs)
    here = not remote and wanted != DEVICE.type
    known = {id(tensor.held): tensor for tensor in remote}  # what was changed in place

    def wrap(value: object) -> object:
        if here or not isinstance(value, torch.Tensor) or isinstance(value, Remote):
            return value
        return known.get(id(value)) if id(value) in known else Remote(value)

    return tree_map(wrap, result)


def _check_mixture(operation: Any, args: tuple, local: list[torch.Tensor]) -> None:
    if operation in _LOOK_UPS:
        into_remote = isinstance(args[0], Remote)
        if not into_remote and any(isinstance(index, Remote) for index in args[1]):
            raise RuntimeError("indices should be on the CPU or on the device of what they index")
        values = args[2] if len(args) > 2 else None
        with_shape = isinstance(values, torch.Tensor) and values.dim()
        if with_shape and isinstance(values, Remote) != into_remote:
            raise RuntimeError(f"{operation}: values are on another device")
        return
    shapes = [tuple(tensor.shape) for tensor in local if tensor.dim()]
    if shapes:
        raise RuntimeError(
            f"Expected all tensors to be on the same device ({operation}, on the CPU {shapes})"
        )


def _check_generators(operation: Any, args: tuple, kwargs: dict) -> None:
    if any(isinstance(leaf, torch.Generator) for leaf in tree_leaves((args, kwargs))):
        raise RuntimeError(f"{operation}: expected a generator of the device, this is the CPU's")


def _count(operation: Any, args: tuple, kwargs: dict, wanted: str | None) -> None:
    """What the CPU waits for, in the order of the device's work."""
    if operation is _ops._to_copy.default:
        arrives, leaves = wanted == DEVICE.type, isinstance(args[0], Remote)
        wanted_there = wanted is None or arrives
        waits = leaves != wanted_there and not (arrives and kwargs.get("non_blocking"))
    elif operation is _ops.copy_.default:
        arrives = isinstance(args[0], Remote)
        at_ease = arrives and len(args) > 2 and args[2]
        waits = arrives != isinstance(args[1], Remote) and not at_ease
    elif operation in _LOOK_UPS:
        indices = [index for index in args[1] if index is not None]
        waits = any(i.dtype == torch.bool or not isinstance(i, Remote) for i in indices)
    else:
        waits = operation in _WAITING
    _waits[str(operation)] += waits


@contextlib.contextmanager
def waits() -> Iterator[Counter[str]]:
    """Within the block the CPU's waits for the device are counted, by operation."""
    before, counted = _waits.copy(), Counter()
    try:
        yield counted
    finally:
        counted.update(_waits - before)


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


def _tensor(data: object, *, device: object = None, **settings: Any) -> torch.Tensor:
    tensor = _plain_tensor(data, **settings)
    on_device = device is not None and torch.device(device) == DEVICE
    _waits["tensor"] += on_device and tensor.numel() > 0
    return Remote(tensor) if on_device else tensor


def _no_grad(mode: bool = True) -> contextlib.AbstractContextManager:
    """Inference tensors can't be wrapped."""
    return torch.no_grad() if mode else contextlib.nullcontext()


@contextlib.contextmanager
def pretended() -> Iterator[torch.device]:
    """Within the block there is an accelerator."""
    with _patched(tensor=_tensor, inference_mode=_no_grad), _Mode():
        yield DEVICE


@contextlib.contextmanager
def _patched(**functions: Callable) -> Iterator[None]:
    before = {name: getattr(torch, name) for name in functions}
    for name, function in functions.items():
        setattr(torch, name, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(torch, name, function)


def there(load: Callable[..., Any]) -> Callable[..., Any]:
    """``load_backbone`` as it is within :func:`pretended`: what it loads is on the accelerator.

    The library takes the device's name for "no numbers yet", so the model is loaded on the CPU,
    moved, and held against its own forward pass again where it then is.
    """

    def load_there(name: str, **settings: Any) -> Any:
        plain = _patched(tensor=_plain_tensor, inference_mode=_plain_inference_mode)
        with _disable_current_modes(), plain:
            backbone = load(name, **settings | {"device": "cpu"})
            use_fused_kernel(backbone.model)
        backbone.to(DEVICE)
        proofs.settle(backbone)
        return backbone

    return load_there
