"""Positions: taking them away from virtual tokens, and showing that nothing of them is left.

Words keep their positions. Without one, a virtual token loses what its family would add:

- the position's vector, where a table holds one for each place (BERT, RoBERTa, BART's encoder);
- the relative bias to and from every other token, where attention adds one (T5);
- its own place in the count, where the model takes position ids (GPT, Llama): all virtual tokens
  then stand at position 0, and the causal mask still orders them.

No list says which models these are. A model is asked instead: it must score the same in every order
of its virtual tokens (encoders), or each of its layers must write the same at later words (causal
models, where the mask orders the virtual tokens among themselves). One that does not pass, such as
a model with rotary or ALiBi positions, convolutions or windows, is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.core.errors import LabError
from labkit.core.hooks import hooked
from labkit.core.sequences import Batch

if TYPE_CHECKING:
    from labkit.core.backbones import Backbone
    from labkit.core.readouts import CausalBackbone

TABLES = ("position_embeddings", "embed_positions")
"""What the families call the module that gives a vector for each place."""

INVARIANT = 1e-2
"""Largest change by another order, as a share of the change that it makes with positions."""

LONGEST = 512
"""Tokens in the text that is looked at: far enough apart for a window of attention to show."""

COUNT = 6
"""Virtual tokens in it."""


@contextlib.contextmanager
def left_out(reader: nn.Module, slots: Tensor) -> Iterator[None]:
    """Within the block ``reader`` adds no positions at ``slots`` (B, T).

    Leaving them out is exact; subtracting them from the input beforehand is so up to rounding only,
    and in bf16 that rounding would depend on the order.
    """
    with contextlib.ExitStack() as stack:
        for module in _tables(reader):
            stack.enter_context(hooked(module.register_forward_hook(_no_vectors(slots))))
        for module in _biases(reader):
            stack.enter_context(_no_bias(module, slots))
        yield


def _tables(reader: nn.Module) -> list[nn.Module]:
    named = reader.named_modules()
    return [module for name, module in named if name.rpartition(".")[2] in TABLES]


def _biases(reader: nn.Module) -> list[nn.Module]:
    has_bias = "has_relative_attention_bias"
    return [m for m in reader.modules() if getattr(m, has_bias, False) and _computes_bias(m)]


def _computes_bias(module: nn.Module) -> bool:
    return callable(getattr(module, "compute_bias", None))


def _no_vectors(slots: Tensor):
    def leave_out(_module: nn.Module, _inputs: object, added: Tensor) -> Tensor:
        longer = added.shape[-2] - slots.shape[1]  # some models pad their input further …
        if longer < 0:  # … and embed that padding by itself
            return added
        where = F.pad(slots, (0, longer))[..., None]  # (B, T, 1)
        return added.expand(len(slots), -1, -1).masked_fill(where, 0.0)  # (1, T, D) → (B, T, D)

    return leave_out


@contextlib.contextmanager
def _no_bias(attention: Any, slots: Tensor) -> Iterator[None]:
    """Within the block the bias is 0 to and from ``slots``."""
    touched = (slots[:, :, None] | slots[:, None, :])[:, None]  # (B, 1, T, T)
    plain = attention.compute_bias

    def leave_out(*args: object, **kwargs: object) -> Tensor:
        return plain(*args, **kwargs).masked_fill(touched, 0.0)  # (B, heads, T, T)

    attention.compute_bias = leave_out  # shadows the method for this object
    try:
        yield
    finally:
        del attention.compute_bias


# ---- showing that nothing is left ----


def check_removable(backbone: Backbone) -> None:
    """Whether the virtual tokens of this view without positions really have none.

    Raises:
        LabError: naming the model and what to do.
    """
    if backbone.readout != "causal" and not (_tables(backbone.reader) or _biases(backbone.reader)):
        raise LabError(
            f"{backbone.name} keeps no table of positions and no relative bias that could be left "
            "out for virtual tokens; keep their positions (positions=True), or take a model of the "
            "BERT, RoBERTa or T5 families"
        )
    if "answer" not in backbone.removable:
        with torch.no_grad(), in_fp32(backbone.model):
            backbone.removable["answer"] = _is_removable(backbone)
    if not backbone.removable["answer"]:
        raise LabError(
            f"{backbone.name} does not let go of its positions: without them, another order of "
            "virtual tokens still changes its answers; keep them (positions=True), or take a model "
            "of the BERT, RoBERTa, T5, GPT or Llama families"
        )


def _is_removable(backbone: Backbone) -> bool:
    look: Any
    look = _layers_forget_the_order if backbone.readout == "causal" else _scores_forget_the_order
    try:
        return look(backbone)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        return False  # a way of encoding positions that nothing here can be done about


def _scores_forget_the_order(backbone: Backbone) -> bool:
    """Virtual tokens at both ends of a long text, in two orders, with positions and without."""
    before, after = backbone.special_tokens()
    words = backbone.ordinary_ids(min(backbone.max_length, LONGEST) - COUNT - len(before + after))
    half = COUNT // 2
    slots = [-1 - row for row in range(COUNT)]
    ids = [*slots[:half], *before, *words, *after, *slots[half:]]
    answer = half + len(before) + 1  # near one end, so that a window shows
    if backbone.readout == "mlm":
        ids[answer] = backbone.tokenizer.mask_token_id
    tensor = torch.tensor([ids], device=backbone.device)
    slot = torch.tensor([answer], device=backbone.device)
    batch = Batch(tensor, torch.ones_like(tensor), slot)
    rows = torch.tensor(backbone.ordinary_ids(COUNT), device=backbone.device)
    vectors = backbone.embed(rows)  # (P, D)
    labels = [(piece,) for piece in words[:4]]
    turned = vectors.flip(0)  # from end to end of the text

    def change(view: Backbone) -> float:
        one, other = (view.word_scores(batch, rows, labels) for rows in (vectors, turned))
        return (one - other).abs().max().item()

    with_positions = change(backbone.with_positions(True))
    return with_positions > 0 and change(backbone) <= INVARIANT * with_positions


def _layers_forget_the_order(backbone: CausalBackbone) -> bool:
    """Each layer, given the same states at the virtual tokens in two orders, writes the same at the
    word behind them; and the words' own positions are as the model counts them."""
    words = backbone.ordinary_ids(COUNT)
    slots = [-1 - row for row in range(COUNT)]
    ids = torch.tensor([[*slots, *words]] * 2, device=backbone.device)  # (2, T)
    vectors = backbone.embed(ids[0, COUNT:]).flip(0)  # (P, D)
    embedded = backbone.embed_batch(ids, vectors)  # (2, T, D)
    places = torch.arange(2 * COUNT, device=ids.device)
    turned = torch.cat([places[:COUNT].flip(0), places[COUNT:]])
    embedded = torch.stack([embedded[0], embedded[1][turned]])
    with _same_states(_layers(backbone), turned) as seen:
        backbone.run(
            inputs_embeds=embedded,
            attention_mask=torch.ones_like(ids),
            use_cache=False,
            **backbone.position_ids(ids, 0),
        )
    forgets = all(close(one[turned], other) for one, other in seen["first"])
    forgets &= all(close(one[COUNT], other[COUNT]) for one, other in seen["written"])
    plain = ids[:1, COUNT:]
    counted = torch.arange(COUNT, device=ids.device)[None]
    as_counted = backbone.model(input_ids=plain, position_ids=counted).logits
    return forgets and close(as_counted, backbone.model(input_ids=plain).logits)


def _layers(backbone: Backbone) -> list[nn.Module]:
    count = backbone.text_config.num_hidden_layers
    lists = (m for m in backbone.reader.modules() if isinstance(m, nn.ModuleList))
    layers = next((m for m in lists if len(m) == count), None)
    if layers is None:  # some families run one stack of layers several times
        raise RuntimeError("the model has no list of as many layers as it says")
    return list(layers)


@contextlib.contextmanager
def _same_states(layers: list[nn.Module], turned: Tensor) -> Iterator[dict[str, list[Tensor]]]:
    """Within the block every layer reads the first layer's states: (2, T, D), the second row those
    of the first in the order ``turned``. Collects what the first read and what each wrote."""
    seen: dict[str, list[Tensor]] = {"first": [], "written": []}

    def give(_module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        states = args[0] if args else kwargs["hidden_states"]
        if not seen["first"]:
            seen["first"].append(states.clone())
        first = seen["first"][0][0]
        both = torch.stack([first, first[turned]])
        return ((both, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": both})

    def keep(_module: nn.Module, _args: tuple, output: Any) -> None:
        seen["written"].append(output[0] if isinstance(output, tuple | list) else output)

    with contextlib.ExitStack() as stack:
        for layer in layers:
            handle = layer.register_forward_pre_hook(give, with_kwargs=True)
            stack.enter_context(hooked(handle))
            stack.enter_context(hooked(layer.register_forward_hook(keep)))
        yield seen
    if len(seen["written"]) != len(layers):
        raise RuntimeError("the model does not run its layers one after the other")


def close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= 1e-4 * one.abs().max())


@contextlib.contextmanager
def in_fp32(model: Any) -> Iterator[None]:
    """Within the block the weights are fp32: rounding in half precision depends on the order too.
    There and back again every number is the same; what is in fp32 already, such as the rotary
    frequencies of a model in half precision, is not touched."""
    tensors = [*model.parameters(), *model.buffers()]
    halves = [(t, t.dtype) for t in tensors if t.is_floating_point() and t.dtype.itemsize < 4]
    for tensor, _ in halves:
        tensor.data = tensor.data.float()
    try:
        yield
    finally:
        for tensor, dtype in halves:
            tensor.data = tensor.data.to(dtype)
