"""The fast path: sharing, sorting and batching never change a score."""

from __future__ import annotations

import itertools
import random

import pytest
import torch

from labkit.core import scoring
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.scoring import class_scores, length_batches
from labkit.core.sequences import NO_PREFIX, Encoded, collate, shared_length
from labkit.core.templates import Template, Verbalizer
from labkit.soft_prompt import SoftPrompt
from labkit.soft_prompt.decoder_side import DecoderSide
from tiny import FAMILIES

EXACT = {"rtol": 1e-6, "atol": 1e-5}
WORDS = {"negative": ("terrible", "marvellous"), "positive": ("great", "good", "maddening")}


class Case:
    """A family's model with a random prompt, and the tiny task's test split encoded."""

    def __init__(self, backbone, task, template=None):
        self.backbone = backbone
        template = Template(template or task.prompt_for(backbone.readout).template).with_soft()
        self.model = PromptedModel(backbone, template, Verbalizer(WORDS))
        generator = torch.Generator().manual_seed(1)
        vectors = torch.randn(4, backbone.hidden_size, generator=generator)
        self.vectors = SoftPrompt(vectors * 0.5)()
        self.sequences = self.model.encode(task.split("test"), self.vectors)
        self.labels = self.model.labels()

    def score(self, sequences=None, **settings) -> torch.Tensor:
        with torch.no_grad():
            return scoring.score(
                self.backbone, sequences or self.sequences, self.vectors, self.labels, **settings
            )


@pytest.fixture
def case(tiny_backbone, tiny_task):
    return lambda family, template=None: Case(tiny_backbone(family), tiny_task, template)


# ---- sharing ----


@pytest.mark.parametrize("batch_tokens", [1, 30, 10_000])
@pytest.mark.parametrize(
    "template", ["{soft}{text} It was {mask}", "{soft:3}Review: it was {text}{soft:1} It {mask}"]
)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_shared_keys_and_values_give_the_scores_of_the_plain_path(
    case, family, template, batch_tokens
):
    case = case(family, template)
    assert len(case.backbone.prefix_of(case.sequences)) >= 3
    shared = case.score(batch_tokens=batch_tokens)
    torch.testing.assert_close(shared, case.score(share=False), **EXACT)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_sharing_all_but_one_token_and_sharing_with_itself(case, family):
    """A single text shares everything up to its answer; equal texts share as much."""
    case = case(family)
    for sequences in (case.sequences[:1], case.sequences[:1] * 3):
        prefix = case.backbone.prefix_of(sequences)
        assert len(prefix) == len(sequences[0].ids) - 1
        torch.testing.assert_close(
            case.score(sequences), case.score(sequences, share=False), **EXACT
        )


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_gradient_is_that_of_the_plain_path_too(case, family):
    case = case(family)
    gradients = []
    for prefix in (NO_PREFIX, case.backbone.prefix_of(case.sequences)):
        scores = class_scores(case.backbone, case.sequences, case.vectors, case.labels, prefix)
        gradients += torch.autograd.grad((scores * torch.tensor([1.0, -2.0])).sum(), case.vectors)
    assert gradients[0].abs().max() > 1e-2
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_batch_in_parts_gives_the_scores_and_gradient_of_the_whole(
    monkeypatch, case, family
):
    case = case(family)
    prefix = case.backbone.prefix_of(case.sequences)
    whole = class_scores(case.backbone, case.sequences, case.vectors, case.labels, prefix)
    monkeypatch.setattr(scoring, "TRAINING_TOKENS", 40)
    parts = scoring.training_scores(
        case.backbone, case.sequences, case.vectors, case.labels, prefix
    )
    torch.testing.assert_close(parts, whole, **EXACT)
    weights = torch.linspace(-1, 1, whole.numel()).view_as(whole)
    (one,) = torch.autograd.grad((whole * weights).sum(), case.vectors)
    (other,) = torch.autograd.grad((parts * weights).sum(), case.vectors)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["bert", "roberta", "t5", "bert-encoder"])
def test_models_that_look_ahead_share_nothing(case, family):
    case = case(family)
    assert len(case.backbone.prefix_of(case.sequences)) == 0


@pytest.mark.parametrize("positions", [True, False, "set"])
@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "t5", "bert-encoder"])
def test_sequences_behind_different_prompts_are_scored_as_behind_each_alone(
    case, family, positions
):
    case = case(family)
    view = case.backbone.with_positions(positions)
    orders = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 2], [3, 0, 1, 2]])
    chosen = [row % 3 for row in range(len(case.sequences))]
    prefix = view.prefix_of(case.sequences)
    together = scoring.scores_under_each(
        view, case.sequences, case.vectors[orders], chosen, case.labels, prefix
    )
    with torch.no_grad():
        for sequence, order, given in zip(case.sequences, chosen, together, strict=True):
            vectors = case.vectors[orders[order]]
            alone = class_scores(view, [sequence], vectors, case.labels)[0]
            torch.testing.assert_close(given, alone, **EXACT)


def test_virtual_tokens_on_the_decoder_side_are_those_of_each_sequence_too(case):
    case = case("t5")
    view = DecoderSide.of(case.backbone)
    orders = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    one, other = case.sequences[:2]
    together = scoring.scores_under_each(
        view, [one, other], case.vectors[orders], [0, 1], case.labels
    )
    with torch.no_grad():
        for sequence, order, given in zip([one, other], orders, together, strict=True):
            alone = class_scores(view, [sequence], case.vectors[order], case.labels)[0]
            torch.testing.assert_close(given, alone, **EXACT)
    assert not torch.allclose(
        together[1], class_scores(view, [other], case.vectors, case.labels)[0], **EXACT
    )


@pytest.mark.parametrize("family", ["llama", "bert-encoder"])
def test_scores_that_are_not_finite_are_refused_behind_any_of_the_prompts(case, family):
    case = case(family)
    prefix = case.backbone.prefix_of(case.sequences)
    prompts = torch.stack([case.vectors, torch.full_like(case.vectors, torch.nan)])
    chosen = [1 if row == 3 else 0 for row in range(len(case.sequences))]
    with pytest.raises(LabError, match="NaN or infinite scores"):
        scoring.scores_under_each(
            case.backbone, case.sequences, prompts, chosen, case.labels, prefix
        )


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_several_prompts_begin_with_is_read_once(case, family):
    case = case(family)
    read = []
    hook = case.backbone.model.base_model.register_forward_pre_hook(
        lambda module, args, given: read.append(tuple(given["inputs_embeds"].shape[:2])),
        with_kwargs=True,
    )
    prefix = case.backbone.prefix_of(case.sequences)
    orders = torch.tensor([[0, 1, 2, 3], [0, 1, 3, 2]])
    before = next(place for place, token in enumerate(prefix.ids) if token == -3)
    read.clear()
    with hook, torch.no_grad():
        both = case.backbone.read(prefix, case.vectors[orders])
    assert read == [(1, before), (2, len(prefix) - before)]
    for number, order in enumerate(orders):
        alone = case.backbone.read(prefix, case.vectors[order])
        of_both = both.of(torch.tensor([number]))
        for theirs, ours in zip(alone.keys_values, of_both.keys_values, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


def test_shared_length_against_brute_force():
    draw = random.Random(0)
    for _ in range(500):
        start = [draw.randrange(-3, 3) for _ in range(draw.randrange(6))]
        sequences = []
        for _ in range(draw.randrange(1, 4)):
            ids = [*start, *(draw.randrange(-1, 2) for _ in range(draw.randrange(1, 5)))]
            sequences.append(Encoded(tuple(ids), draw.randrange(len(ids))))
        limit = min(min(len(s.ids) - 1, s.answer) for s in sequences)
        agreeing = [n for n in range(limit + 1) if len({s.ids[:n] for s in sequences}) == 1]
        assert shared_length(sequences) == max(agreeing)


# ---- batching ----


@pytest.mark.parametrize("family", FAMILIES)
def test_batch_size_order_and_company_do_not_change_a_score(case, family):
    case = case(family)
    alone = torch.cat([case.score([sequence]) for sequence in case.sequences])
    assert alone.std(0).min() > 1e-2
    for batch_tokens in (1, 25, 100, 10_000, None):
        torch.testing.assert_close(case.score(batch_tokens=batch_tokens), alone, **EXACT)
    order = list(range(len(alone)))
    random.Random(0).shuffle(order)
    shuffled = case.score([case.sequences[i] for i in order])
    torch.testing.assert_close(shuffled, alone[order], **EXACT)
    subset = [0, 5, 5, 11]
    torch.testing.assert_close(
        case.score([case.sequences[i] for i in subset]), alone[subset], **EXACT
    )


def test_length_batches_hold_every_index_once_within_the_budget():
    draw = random.Random(0)
    for _ in range(200):
        lengths = [draw.randrange(1, 40) for _ in range(draw.randrange(30))]
        budget = draw.randrange(1, 200)
        batches = list(length_batches(lengths, budget))
        flat = list(itertools.chain.from_iterable(batches))
        assert sorted(flat) == list(range(len(lengths)))
        assert [lengths[i] for i in flat] == sorted(lengths)
        for batch, after in itertools.zip_longest(batches, batches[1:]):
            longest = max(lengths[i] for i in batch)
            assert len(batch) * longest <= budget or len(batch) == 1
            if after:  # full: the next one would not have fitted
                assert (len(batch) + 1) * lengths[after[0]] > budget


def test_collate_pads_on_the_right():
    batch = collate([Encoded((-1, 5, 6), 2), Encoded((7,), 0)], torch.device("cpu"))
    assert batch.ids.tolist() == [[-1, 5, 6], [7, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.answer.tolist() == [2, 0]


def test_progress_counts_to_the_end(case):
    case = case("llama")
    seen = []
    case.score(batch_tokens=40, progress=lambda done, total: seen.append((done, total)))
    done = [count for count, _ in seen]
    assert done == sorted(set(done)) and seen[-1] == (12, 12) and len(seen) > 2
    assert {total for _, total in seen} == {12}


# ---- several words for a class ----


@pytest.mark.parametrize("family", FAMILIES)
def test_several_words_combine_as_their_readout_says(case, family):
    """Logits and cosines are averaged; log-probabilities add up as probabilities."""
    case = case(family)
    words = [word for options in WORDS.values() for word in options]
    apart = PromptedModel(case.backbone, case.model.template, Verbalizer({w: w for w in words}))
    with torch.no_grad():
        each = scoring.score(case.backbone, case.sequences, case.vectors, apart.labels())
    if case.backbone.readout in ("mlm", "encoder"):
        expected = torch.stack([each[:, :2].mean(-1), each[:, 2:].mean(-1)], -1)
    else:
        expected = torch.stack([each[:, :2].exp().sum(-1), each[:, 2:].exp().sum(-1)], -1).log()
    torch.testing.assert_close(case.score(), expected, rtol=1e-5, atol=1e-5)


def test_causal_words_that_share_their_first_pieces_are_read_from_one_pass(case):
    """ " marvellous" and " maddening" begin alike; so do words one of which begins the other."""
    case = case("gpt2")
    pieces = ((3, 4), (3, 5), (3,), (4,), (3, 4, 6))
    labels = scoring.Labels(pieces, tuple((i,) for i in range(len(pieces))))
    together = scoring.score(case.backbone, case.sequences, case.vectors.detach(), labels)
    for column, word in enumerate(pieces):
        one = scoring.Labels((word,), ((0,),))
        alone = scoring.score(case.backbone, case.sequences, case.vectors.detach(), one)
        torch.testing.assert_close(together[:, [column]], alone, **EXACT)
