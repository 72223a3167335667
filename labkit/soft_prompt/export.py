"""Prompts that leave the house: virtual tokens as tokens of their own in a plain model folder.

A soft prompt needs code that puts its rows in front of the embedded words. Written into the
embedding table, under new tokens that the tokenizer puts in front of every text, it needs none:

    backbone = load_backbone("smollm2", dtype=torch.float32)
    export_as_tokens("reviews", prompt, PromptedModel.for_task(backbone, task))
    transformers.pipeline("text-generation", model="reviews")("A gripping film. It was")

The folder is the whole model, and plain ``transformers`` gives the label scores that labkit gives.
The new tokens must not take probability from the others. Where input and output share one table
(tied weights) the two are parted first, or each virtual token would be scored by its own row. Where
the table has rows to spare, which no token names, virtual tokens go there, and the output rows stay
as they are. Other new output rows get a bias far below every other where the head has one. Where it
has none, they point away from every state that the head was seen to read: the closest point to the
origin of the states' convex hull gives the direction of the widest margin, and their logits lie
:data:`MARGIN` nats below all others together. Trained models leave such a side free, random ones
need not: where the rows take more than :data:`TAKEN` on other texts, the model is refused. A folder
is written only after it was opened again and held against labkit.

Programs that lay texts out by themselves read the tokens' names in front of a text, and want the
tokenizer as it was (``names_in_text``): llama.cpp's converter to GGUF knows it by the ids of one
text. Tried on smollm2's course prompt (llama-cpp-python 0.3.36, 24 test sentences): within 2e-5
nats of labkit's label scores in fp32, within 5e-3 with the half-precision cache that is the default
there, and the same label each time. vLLM was not tried.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from scipy.optimize import nnls
from tokenizers import AddedToken, processors
from torch import Tensor, nn

from labkit.core import scoring
from labkit.core.attention import use_fused_kernel
from labkit.core.backbones import Backbone
from labkit.core.conversions import quiet_transformers
from labkit.core.errors import LabError, first_line
from labkit.core.files import folder_aside
from labkit.core.hooks import hooked
from labkit.core.modes import evaluating
from labkit.core.prompted_model import PromptedModel
from labkit.core.readouts import ENCODER_SCALE, mean_pooled
from labkit.core.sequences import Encoded, Pieces, collate
from labkit.core.tasks import Example
from labkit.soft_prompt.export_folder import check_replaceable, write_card
from labkit.soft_prompt.export_texts import about, plain_text, random_texts

MARGIN = 40.0
FAR_BELOW = -1e4
"""A bias that no weight outweighs, and that half precision holds."""

CLOSE = 1e-4
"""Largest difference between a label's score in the exported model and here, in nats."""

TAKEN = 5e-6
"""Largest share of the probability that new output rows may take: as many nats of each piece."""

_FITTED, _COMPARED = 48, 8
"""Texts that the output rows are fitted on, and others that the scores are compared on."""


@dataclass(frozen=True)
class Exported:
    """An exported folder.

    Attributes:
        tokens: the virtual tokens' names, in the prompt's order.
        masked: new rows of the output table that take no probability (0 without such a table).
        difference: largest difference of a label's score, seen on texts of random words.
        line: what to give the model, as a template without its virtual tokens, or with their names.
    """

    tokens: tuple[str, ...]
    masked: int
    difference: float
    line: str


def export_as_tokens(
    folder: str | Path, prompt: nn.Module, model: PromptedModel, *, names_in_text: bool = False
) -> Exported:
    """Write model and tokenizer to ``folder``, the prompt's rows among the word embeddings.

    An earlier export there is replaced as a whole, and nothing else is.

    Args:
        model: as the prompt is used, in fp32.
        names_in_text: the tokenizer lays a text out as the model's own does, and the virtual
            tokens' names are written in front of the text.

    Raises:
        LabError: for a layout or a model that plain ``transformers`` can't be given in this way, or
            a folder that holds anything else or can't be written; it stays as it was.
    """
    folder = Path(folder)
    check_replaceable(folder)
    _require_plain(model)
    with evaluating(model), torch.no_grad():
        vectors = model.fixed_vectors(prompt)
        tokenizer, ids = _with_tokens(model, len(vectors))
        tokens = tuple(tokenizer.convert_ids_to_tokens(ids))
        front = ""
        if names_in_text:
            front = _written_in_front(model, tokens)
        else:
            tokenizer.backend_tokenizer.post_processor = _put_in_front(model, tokenizer, tokens)
        texts = random_texts(model, _FITTED + _COMPARED)
        export = _Export(model, vectors, ids, front)
        twin = export.built(texts)
        try:
            with folder_aside(folder) as aside, quiet_transformers():
                twin.save_pretrained(aside)
                tokenizer.save_pretrained(aside)
                line = front + model.template.without_soft().text
                (aside / "README.md").write_text(about(model, tokens, front), encoding="utf-8")
                difference = export.difference(aside, texts[_FITTED:])
                write_card(aside)
        except OSError as error:
            raise LabError(f"{folder} can't be written ({first_line(error)}); make room") from error
    return Exported(tokens, export.masked, difference, line)


def _require_plain(model: PromptedModel) -> None:
    if model.backbone.side:
        raise LabError(
            f"this prompt stands in front of the {model.backbone.side}, and tokens that a "
            "tokenizer puts in front of a text do not; export a prompt of the encoder's side"
        )
    if not model.template.leads_with_soft:
        raise LabError(
            f"template {model.template.text!r}: tokens that a tokenizer puts in front are one "
            "leading block {soft}; a prompt between the words can't be exported as tokens"
        )
    if model.positions is not True:
        raise LabError(
            "this prompt is used without positions or as a set, and plain transformers gives every "
            "token a position; export a prompt that was trained with them"
        )
    if model.backbone.dtype != torch.float32:
        name = str(model.backbone.dtype).removeprefix("torch.")
        raise LabError(
            f"{model.backbone.name} is loaded in {name}, which would round the exported weights; "
            "load it with dtype=torch.float32"
        )


# ---- the tokenizer ----


def _with_tokens(
    model: PromptedModel, count: int
) -> tuple[transformers.PreTrainedTokenizerFast, list[int]]:
    """The model's tokenizer with ``count`` new tokens, and their ids."""
    ours = model.backbone.tokenizer
    if not getattr(ours, "is_fast", False):
        raise LabError(
            f"the tokenizer of {model.backbone.name} is written in Python and can't be told to put "
            "tokens in front; use a model with a tokenizer.json"
        )
    # under the plain class, which reads everything from tokenizer.json: others build anew
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=type(ours.backend_tokenizer).from_str(ours.backend_tokenizer.to_str()),
        model_max_length=ours.model_max_length,
        **ours.special_tokens_map,
    )
    names = [f"<soft-{index}>" for index in range(count)]
    taken = set(names) & set(ours.get_vocab())
    if taken:
        raise LabError(
            f"{model.backbone.name} has tokens of these names already ({min(taken)}): it is an "
            "exported model itself; give the one that the prompt was trained for"
        )
    theirs.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    ids = _ids_of(theirs, names)
    # numbered from the count of entries on: with gaps further down, words stand there already
    words = {number: token for token, number in ours.get_vocab().items()}
    if overwritten := [words[number] for number in ids if number in words]:
        raise LabError(
            f"the vocabulary of {model.backbone.name} has gaps, and new tokens would take the ids "
            f"of words such as {overwritten[0]!r}; fill the gaps in its tokenizer.json with names "
            "that no text has, or use another model"
        )
    return theirs, ids


def _put_in_front(
    model: PromptedModel, tokenizer: Any, names: Sequence[str]
) -> processors.TemplateProcessing:
    """What lays every text out behind the virtual tokens."""
    before, after = (tokenizer.convert_ids_to_tokens(part) for part in _around(model))
    front = [*names, *before] if model.bos == "text" else [*before, *names]
    special = [*front, *after]
    return processors.TemplateProcessing(
        single=[*(f"{name}:0" for name in front), "$A:0", *(f"{name}:0" for name in after)],
        special_tokens=list(zip(special, _ids_of(tokenizer, special), strict=True)),
    )


def _written_in_front(model: PromptedModel, names: Sequence[str]) -> str:
    """What stands in front of a text that the model's own tokenizer is given."""
    tokenizer: Any = model.backbone.tokenizer
    own, _ = model.backbone.special_tokens()
    if own and model.bos == "text":
        (first, *_) = tokenizer.convert_ids_to_tokens(own)
        raise LabError(
            f"this prompt stands in front of {first}, which the tokenizer of {model.backbone.name} "
            "puts first; export it without --names-in-text"
        )
    missing = [] if own else _around(model)[0]
    return "".join([*tokenizer.convert_ids_to_tokens(missing), *names])


def _ids_of(tokenizer: Any, names: Sequence[str]) -> list[int]:
    return [tokenizer.convert_tokens_to_ids(name) for name in names]


def _around(model: PromptedModel) -> tuple[list[int], list[int]]:
    """Special tokens before and after a text, as the model's examples are laid out."""
    backbone = model.backbone
    before, after = backbone.special_tokens()
    if model.bos == "first" and not before:
        before = [backbone.special_id("bos_token_id", "BOS token")]
    return before, [] if backbone.readout == "causal" else after


# ---- the model ----


class _Export:
    """The model with the prompt's rows in its tables."""

    def __init__(self, model: PromptedModel, vectors: Tensor, ids: list[int], front: str) -> None:
        self.model, self.backbone = model, model.backbone
        self.vectors, self.ids, self.front = vectors, ids, front
        self.masked = 0

    def built(self, texts: Sequence[Example]) -> transformers.PreTrainedModel:
        """A model of the same kind whose tables have the new rows."""
        source: Any = self.backbone.model
        table, head = source.get_input_embeddings().weight, source.get_output_embeddings()
        before, after = self.backbone.rows, max(self.backbone.rows, self.ids[-1] + 1)
        parameters = source.state_dict(keep_vars=True)
        # a tensor that is tied stands under several names
        tensors = {
            name: self._input_rows(table, after) if tensor is table else tensor
            for name, tensor in parameters.items()
        }
        if head is not None:
            self.masked = after - before
            weight, bias = self._output_rows(head, texts)
            place = next(name for name, module in source.named_modules() if module is head)
            tensors[f"{place}.weight"] = weight
            if bias is not None:
                tensors |= {n: bias for n, tensor in parameters.items() if tensor is head.bias}
        with quiet_transformers():
            twin = type(source)(_untied(source.config, after))
        for name, wanted in twin.state_dict().items():
            # a bias that a head keeps a second time, and reads where the two are tied
            if tensors[name].ndim == wanted.ndim == 1 and len(tensors[name]) < len(wanted):
                more = tensors[name].new_full((len(wanted) - len(tensors[name]),), FAR_BELOW)
                tensors[name] = torch.cat([tensors[name], more])
        twin.load_state_dict(tensors)
        use_fused_kernel(twin)
        if twin.can_generate():
            twin.generation_config = copy.deepcopy(source.generation_config)
            twin.generation_config.suppress_tokens = list(self.ids)
        return twin.eval()

    def _input_rows(self, table: Tensor, rows: int) -> Tensor:
        """The embedding table with the prompt in it: (rows, D)."""
        known = torch.tensor(self.backbone.ordinary_ids(8), device=table.device)
        plain = self.backbone.embed(known)
        # some families scale what they look up, inside the module or behind it
        inside = (plain.norm() / table[known].norm()).item()
        if not torch.allclose(plain, table[known] * inside, rtol=1e-4, atol=1e-6):
            raise LabError(
                f"{self.backbone.name} makes more of a token than a row of its table, so that a "
                "virtual token can't be one; use another family"
            )
        grown = torch.cat([table, table.new_zeros(rows - len(table), table.shape[1])])
        grown[self.ids] = self.vectors / (inside * self.backbone.word_scale)
        return grown

    def _output_rows(self, head: Any, texts: Sequence[Example]) -> tuple[Tensor, Any]:
        """Weight (V, D) and bias (V) of the head: as they were, and new rows below all others."""
        weight, bias = head.weight, getattr(head, "bias", None)
        if bias is not None:
            grown = weight.new_zeros(self.masked, weight.shape[1])
            return torch.cat([weight, grown]), torch.cat(
                [bias, bias.new_full((self.masked,), FAR_BELOW)]
            )
        if not self.masked:
            return weight, None
        row = _away_from(self._states(head, texts[:_FITTED]), weight)
        if row is None:
            raise self._takes_probability("")
        grown = torch.cat([weight, row.expand(self.masked, -1)])
        # read off the logits, as rounding hides it in the scores
        logits = self._states(head, texts[_FITTED:]).double() @ grown.double().T  # (n, V)
        share = logits.softmax(-1)[:, -self.masked :].sum(-1).max().item()
        if not share <= TAKEN:
            raise self._takes_probability(f" (up to {share:.1g} of it)")
        return grown, None

    def _takes_probability(self, how_much: str) -> LabError:
        return LabError(
            f"new output rows of {self.backbone.name} would take probability from others{how_much}:"
            " its head has no bias, and what it reads points everywhere; use a trained model, or "
            "one whose table has as many rows to spare as the prompt has tokens"
        )

    def _states(self, head: nn.Module, texts: Sequence[Example]) -> Tensor:
        """What the head reads at the answers to these texts: (n, D)."""
        seen: list[Tensor] = []

        def keep(_module: nn.Module, args: tuple) -> None:
            seen.append(args[0].reshape(-1, args[0].shape[-1]))

        with hooked(head.register_forward_pre_hook(keep)):
            sequences = self.model.encode(texts, self.vectors)
            scoring.score(self.backbone, sequences, self.vectors, self.model.labels(), share=False)
        return torch.cat(seen)

    # ---- held against labkit ----

    def difference(self, folder: Path, texts: Sequence[Example]) -> float:
        """Largest difference between the scores of the folder, opened anew, and ours.

        Raises:
            LabError: where the texts are cut otherwise, or the scores differ by more than
                :data:`CLOSE`.
        """
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        twin = type(self.backbone.model).from_pretrained(folder, dtype=torch.float32)
        twin = twin.eval().to(self.backbone.device)
        opened = type(self.backbone)(
            self.backbone.name,
            twin,
            self.backbone.tokenizer,
            max_length=self.backbone.max_length,
        )
        sequences = self.model.encode(texts, self.vectors)
        labels = self.model.labels()
        largest = 0.0
        for example, laid in zip(texts, sequences, strict=True):
            ids = tuple(self.ids[-1 - i] if i < 0 else i for i in laid.ids)
            line = self.front + plain_text(self.model, example)
            if tuple(tokenizer(line)["input_ids"]) != ids:
                raise LabError(
                    f"{self.backbone.name} cuts {line!r} otherwise than this template does, so "
                    "that the exported prompt would see other tokens; use a simpler template"
                )
            theirs = self._plain_scores(opened, ids, laid.answer, labels.words)
            ours = self._ours(laid, labels.words)
            largest = max(largest, (ours - theirs).abs().max().item())
        if not largest <= CLOSE:
            raise LabError(
                f"the exported {self.backbone.name} scores labels otherwise than this one (by up "
                f"to {largest:.2g}); its family can't be exported with its prompt"
            )
        return largest

    def _plain_scores(
        self, opened: Backbone, ids: Pieces, answer: int, words: Sequence[Pieces]
    ) -> Tensor:
        """(W,) by the opened model's own forward pass on token ids."""
        if opened.readout != "encoder":
            return opened.plain_scores(ids, answer, words)
        source = torch.tensor([ids], device=opened.device)
        hidden = opened.model(input_ids=source).last_hidden_state
        words_alone = torch.isin(source, torch.tensor(self.ids, device=opened.device)).logical_not()
        pooled = mean_pooled(hidden, words_alone)
        ours: Any = self.backbone
        return (ENCODER_SCALE * pooled @ ours.label_vectors(tuple(words)).T)[0]

    def _ours(self, laid: Encoded, words: Sequence[Pieces]) -> Tensor:
        """(W,) by labkit."""
        batch = collate([laid], self.backbone.device)
        return self.backbone.word_scores(batch, self.vectors, words)[0]


def _untied(config: transformers.PretrainedConfig, rows: int) -> transformers.PretrainedConfig:
    changed = type(config).from_dict(config.to_dict())
    for part in (changed, changed.get_text_config()):
        part.vocab_size = rows
        part.tie_word_embeddings = False
    return changed


def _away_from(states: Tensor, weight: Tensor) -> Tensor | None:
    """A row whose product with each of the states (n, D) lies MARGIN below its logits' sum: (1, D);
    None where they lie around the origin."""
    states = states.double()
    total = (states @ weight.double().T).logsumexp(-1)  # (n,)
    points = (states / states.norm(dim=1, keepdim=True)).cpu().numpy()
    # the closest point to the origin of their convex hull: a least-squares problem with shares ≥ 0
    system = np.vstack([points.T, np.full((1, len(points)), 1.0)])
    shares, _ = nnls(system, np.append(np.zeros(points.shape[1]), 1.0))
    if shares.sum() <= 0:
        return None
    closest = torch.from_numpy(shares @ points / shares.sum()).to(states)
    along = states @ closest  # (n,)
    if along.min() <= 1e-3 * closest.norm() * states.norm(dim=1).min():
        return None
    # twice as far as these states need, so that others do with it
    steep = 2 * ((MARGIN - total) / along).clamp(min=0).max()
    return (-steep * closest).to(weight.dtype)[None]
