"""Backbones: every readout against Hugging Face's plain forward pass, and frozen means frozen."""

from __future__ import annotations

import hashlib

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch.nn import functional as F

import plain
import tiny
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.readouts import mean_pooled
from labkit.core.sequences import collate
from labkit.core.templates import Template, Verbalizer
from labkit.core.tuning import fit
from labkit.soft_prompt import SoftPrompt
from labkit.soft_prompt.vocabulary import known_ids
from tiny import FAMILIES

WORDS = ["terrible", "great", "marvellous", "maddening", "good"]  # of one piece and of several


def prompted(backbone, family, words=WORDS, soft=True, **settings) -> PromptedModel:
    template = Template(plain.TEMPLATES[family])
    verbalizer = Verbalizer({word: word for word in words})
    return PromptedModel(
        backbone, template.with_soft() if soft else template, verbalizer, **settings
    )


def random_prompt(backbone, length=3, seed=0) -> SoftPrompt:
    generator = torch.Generator().manual_seed(seed)
    return SoftPrompt(torch.randn(length, backbone.hidden_size, generator=generator) * 0.5)


# ---- scores ----


@pytest.mark.parametrize("length", [0, 1, 7])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_a_plain_forward_pass(
    tiny_backbone, tiny_folder, tiny_task, family, length
):
    backbone = tiny_backbone(family)
    prompt = random_prompt(backbone, length) if length else None
    examples = tiny_task.split("test")
    ours = prompted(backbone, family, soft=length > 0).scores(prompt, examples)
    model = plain.load(family, tiny_folder(family))
    vectors = prompt().detach() if length else None
    theirs = torch.stack(
        [
            plain.score(family, model, backbone.tokenizer, vectors, example.text, WORDS)
            for example in examples
        ]
    )
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-5)
    assert theirs.std(0).max() > 1e-2  # the texts matter, so that equality says something


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_left_padding_in_hugging_faces_forward_gives_the_same_scores(
    tiny_backbone, tiny_folder, tiny_task, family
):
    """Generation pads on the left, with position ids to match; nothing of that may show."""
    backbone = tiny_backbone(family)
    examples = tiny_task.split("test")
    prompt = random_prompt(backbone)
    vectors = prompt().detach()
    rows = [backbone.tokenizer(f"{e.text} It was")["input_ids"] for e in examples]
    longest = max(len(row) for row in rows)
    lengths = torch.tensor([len(row) + 3 for row in rows])
    model = plain.load(family, tiny_folder(family))
    embed = model.get_input_embeddings()
    embedded = torch.stack(
        [
            torch.cat([torch.zeros(longest - len(row), 32), vectors, embed(torch.tensor(row))])
            for row in rows
        ]
    )
    places = torch.arange(longest + 3)
    mask = (places >= longest + 3 - lengths[:, None]).long()
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = model(inputs_embeds=embedded, attention_mask=mask, position_ids=positions).logits
    words = ["terrible", "great"]
    columns = [backbone.tokenizer(f" {w}", add_special_tokens=False)["input_ids"] for w in words]
    theirs = logits[:, -1].log_softmax(-1)[:, torch.tensor(columns).flatten()]
    ours = prompted(backbone, family, words).scores(prompt, examples)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-5)


def test_the_sentinel_stands_in_input_and_target(tiny_backbone, tiny_folder, tiny_task):
    """Lester et al. 2021, section 3.2: a T5 that was never tuned answers behind its sentinel."""
    backbone = tiny_backbone("t5")
    tokenizer = backbone.tokenizer
    verbalizer = Verbalizer({"negative": "terrible", "positive": "great"})
    model = plain.load("t5", tiny_folder("t5"))
    for line, ends in (("{text} was {mask}", "was<extra_id_0>"), ("{text} was", "was")):
        for sentinel in (None, True, False):
            ours = PromptedModel(backbone, line, verbalizer, sentinel=sentinel)
            wanted = "{mask}" in line if sentinel is None else sentinel
            for example in tiny_task.split("test")[:3]:
                source = tokenizer(f"{example.text} {ends}", return_tensors="pt")
                theirs = []
                for word in ("terrible", "great"):
                    spelt = ("<extra_id_0>" if wanted else "") + f" {word}"
                    target = tokenizer(spelt, return_tensors="pt")["input_ids"]
                    theirs.append(-model(**source, labels=target).loss * target.shape[1])
                scores = ours.scores(None, [example])[0]
                torch.testing.assert_close(scores, torch.stack(theirs), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_that_are_embeddings_of_words_score_as_those_words(
    tiny_backbone, tiny_folder, tiny_task, family
):
    """Against a forward pass on token ids: positions and LayerNorm are applied once, by the model,
    and rows between the words stand where their slots are."""
    backbone = tiny_backbone(family)
    tokenizer, model = backbone.tokenizer, plain.load(family, tiny_folder(family))

    def cut(text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    before, after = backbone.special_tokens()
    rows = cut(" very funny")
    prompt = SoftPrompt(backbone.model.get_input_embeddings().weight[torch.tensor(rows)])
    line = plain.TEMPLATES[family].replace("{text}", f"{{text}}{{soft:{len(rows)}}}")
    words = ["terrible", "great"]
    ours = PromptedModel(backbone, line, Verbalizer({w: w for w in words}))
    for example in tiny_task.split("test")[:4]:
        text = cut(example.text)
        ids = [*before, *text, *rows]
        if family in ("bert", "roberta"):
            ids += [*cut(" It was"), tokenizer.mask_token_id, *cut("."), *after]
            logits = model(torch.tensor([ids])).logits[0, ids.index(tokenizer.mask_token_id)]
            theirs = logits[[cut(f" {word}")[0] for word in words]]
        elif family in ("gpt2", "llama"):
            ids += cut(" It was")
            logits = model(torch.tensor([ids])).logits[0, -1]
            theirs = logits.log_softmax(-1)[[cut(f" {word}")[0] for word in words]]
        elif family == "t5":
            target = [torch.tensor([[*cut(word), tokenizer.eos_token_id]]) for word in words]
            source = torch.tensor([[*ids, *after]])
            theirs = torch.stack([-model(source, labels=t).loss * t.shape[1] for t in target])
        else:
            hidden = model(torch.tensor([[*ids, *after]])).last_hidden_state[0]
            start = len(before) + len(text)
            pooled = torch.cat([hidden[:start], hidden[start + len(rows) :]]).mean(0)
            labels = [
                model(torch.tensor([[*before, *cut(word), *after]])).last_hidden_state[0].mean(0)
                for word in words
            ]
            theirs = 20 * torch.stack([F.cosine_similarity(pooled, v, dim=0) for v in labels])
        scores = ours.scores(prompt, [example])[0]
        torch.testing.assert_close(scores, theirs, rtol=1e-6, atol=1e-5)


# ---- virtual tokens without positions ----

CLOSE = {"rtol": 1e-6, "atol": 1e-5}
WITH_TABLE = {"bert": 0, "bert-encoder": 0, "roberta": 2}  # family → number of the first position


@pytest.mark.parametrize("family", WITH_TABLE)
def test_a_position_left_out_is_one_subtracted_from_the_vector(
    tiny_backbone, tiny_folder, tiny_task, family
):
    backbone = tiny_backbone(family)
    prompt, examples = random_prompt(backbone, 5), tiny_task.split("test")
    ours = prompted(backbone, family, positions=False).scores(prompt, examples)
    model = plain.load(family, tiny_folder(family))
    table = model.base_model.embeddings.position_embeddings.weight
    first = WITH_TABLE[family]
    vectors = prompt().detach() - table[first : first + 5]
    theirs = [
        plain.score(family, model, backbone.tokenizer, vectors, example.text, WORDS)
        for example in examples
    ]
    torch.testing.assert_close(ours, torch.stack(theirs), **CLOSE)


@pytest.mark.parametrize(
    "template", ["{soft}{text} It was {mask}", "{soft:2}{text} {soft:3} {mask}"]
)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_causal_virtual_tokens_share_position_zero(
    tiny_backbone, tiny_folder, tiny_task, family, template
):
    backbone = tiny_backbone(family)
    prompt, examples = random_prompt(backbone, 5), tiny_task.split("test")
    words = Verbalizer({"a": "good", "b": "great"})
    ours = PromptedModel(backbone, template, words, positions=False)
    model = plain.load(family, tiny_folder(family))
    table = model.get_input_embeddings().weight
    theirs = []
    for sequence in ours.encode(examples, prompt()):
        ids = torch.tensor(sequence.ids)
        rows = [prompt()[-1 - i] if i < 0 else table[i] for i in ids.tolist()]
        counted = torch.arange(len(ids))
        logits = model(
            inputs_embeds=torch.stack(rows)[None],
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            position_ids=torch.where(ids < 0, 0, counted)[None],
        ).logits[0, -1]
        pieces = [pieces[0] for pieces in ours.labels().words]
        theirs.append(logits.log_softmax(-1)[pieces].detach())
    torch.testing.assert_close(ours.scores(prompt, examples), torch.stack(theirs), **CLOSE)


@pytest.mark.parametrize("family", ["bert", "roberta", "bert-encoder", "t5"])
def test_without_positions_every_order_gives_the_same_scores(tiny_backbone, tiny_task, family):
    backbone, examples = tiny_backbone(family), tiny_task.split("test")
    prompt = random_prompt(backbone, 6)
    generator = torch.Generator().manual_seed(1)
    for positions in (False, True):
        model = prompted(backbone, family, positions=positions)
        trained = model.scores(prompt, examples)
        changes = []
        for _ in range(5):
            shuffled = SoftPrompt(prompt().detach()[torch.randperm(6, generator=generator)])
            changes.append((model.scores(shuffled, examples) - trained).abs().max())
        # with positions the same shuffles do change the scores, so equality says something
        assert (max(changes) < 2e-5) if not positions else (min(changes) > 1e-3)


@pytest.mark.parametrize("family", ["bert", "roberta", "bert-encoder", "t5", "gpt2", "llama"])
def test_words_keep_their_positions(tiny_backbone, tiny_task, family):
    backbone, examples = tiny_backbone(family), tiny_task.split("test")
    hard = [prompted(backbone, family, soft=False, positions=p) for p in (True, False)]
    assert torch.equal(hard[0].scores(None, examples), hard[1].scores(None, examples))
    # and the model with positions is as it was after the one without has been used
    prompt = random_prompt(backbone)
    soft = [prompted(backbone, family, positions=p) for p in (True, False, True)]
    with_them, without, again = (model.scores(prompt, examples) for model in soft)
    assert torch.equal(with_them, again) and not torch.allclose(with_them, without, atol=1e-4)


def test_positions_can_be_put_back(tiny_backbone, tiny_task):
    backbone, examples = tiny_backbone("bert"), tiny_task.split("test")
    prompt = random_prompt(backbone)
    without = prompted(backbone, "bert", positions=False)
    back = without.with_changes(positions=True)
    assert torch.equal(
        back.scores(prompt, examples), prompted(backbone, "bert").scores(prompt, examples)
    )
    assert without.positions is False and backbone.has_positions


def test_a_model_without_a_table_of_positions_says_so(tiny_backbone, monkeypatch):
    backbone = tiny_backbone("bert")
    monkeypatch.delattr(backbone.model.base_model.embeddings, "position_embeddings")
    with pytest.raises(LabError, match="no table of positions"):
        backbone.with_positions(False)


def test_a_causal_model_that_does_not_list_its_layers_keeps_its_positions(tiny_folder):
    """It ended in a StopIteration."""
    backbone = load_backbone(str(tiny_folder("gpt2")), device="cpu", dtype=torch.float32)
    body = backbone.model.transformer
    body.h = torch.nn.Sequential(*body.h)
    for positions in (False, "set"):
        with pytest.raises(LabError, match="does not let go of its positions"):
            backbone.with_positions(positions)


# ---- the answer slot's attention ----


def eager(family, folder) -> transformers.PreTrainedModel:
    kind = {"bert": "MaskedLM", "roberta": "MaskedLM"}.get(family, "CausalLM")
    model = getattr(transformers, f"AutoModelFor{kind}")
    return model.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
def test_attention_of_the_answer_slot_is_hugging_faces(
    tiny_backbone, tiny_folder, tiny_task, family, soft
):
    """Texts padded to one length here; one at a time, without a mask, there."""
    backbone = tiny_backbone(family)
    model = prompted(backbone, family, soft=soft)
    vectors = random_prompt(backbone)().detach() if soft else None
    sequences = model.encode(tiny_task.split("test")[:4], vectors)
    assert len({len(sequence.ids) for sequence in sequences}) > 1
    shares = backbone.answer_attention(collate(sequences, backbone.device), vectors)
    other = eager(family, tiny_folder(family))
    table = other.get_input_embeddings().weight
    for ours, (ids, answer, _) in zip(shares, sequences, strict=True):
        rows = [table[i] if i >= 0 else vectors[-1 - i] for i in ids]
        with torch.no_grad():
            output = other(inputs_embeds=torch.stack(rows)[None], output_attentions=True)
        theirs = torch.stack([layer[0, :, answer] for layer in output.attentions])
        assert theirs.shape == (2, 4, len(ids))  # layers, heads, places
        torch.testing.assert_close(ours[..., : len(ids)], theirs, rtol=1e-5, atol=1e-6)
        padding = ours[..., len(ids) :]
        assert torch.equal(padding, torch.zeros_like(padding))


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_looking_at_the_attention_changes_nothing(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    model, prompt = prompted(backbone, family), random_prompt(backbone)
    examples = tiny_task.split("test")[:3]
    before, fused = model.scores(prompt, examples), backbone.model.config._attn_implementation
    batch = collate(model.encode(examples, prompt()), backbone.device)
    backbone.answer_attention(batch, prompt())
    assert backbone.model.config._attn_implementation == fused != "eager"
    assert torch.equal(model.scores(prompt, examples), before)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_attention_without_positions_follows_the_virtual_tokens(tiny_backbone, tiny_task, family):
    """The order of the virtual tokens is unknown to an encoder: in another one, each draws the
    attention that it drew before. A causal mask still tells it."""
    backbone = tiny_backbone(family)
    model = prompted(backbone, family, positions=False)
    vectors, order = random_prompt(backbone)().detach(), torch.tensor([2, 0, 1])
    batch = collate(model.encode(tiny_task.split("test")[:2], vectors), backbone.device)
    slots = slice(0, 3)
    assert (batch.ids[:, slots] < 0).all()
    before = model.backbone.answer_attention(batch, vectors)
    after = model.backbone.answer_attention(batch, vectors[order])
    same = torch.allclose(after[..., slots], before[..., slots][..., order], atol=1e-5)
    assert same == (family == "bert")


@pytest.mark.parametrize("family", ["t5", "bert-encoder"])
def test_a_model_without_an_answer_slot_has_no_attention_to_show(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    sequences = prompted(backbone, family, soft=False).encode(tiny_task.split("test")[:1], None)
    with pytest.raises(LabError, match=r"no answer slot .* causal language model"):
        backbone.answer_attention(collate(sequences, backbone.device), None)


# ---- pooling ----


def test_pooling_is_the_unit_mean_of_the_marked_rows():
    hidden = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    marks = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]])
    by_hand = torch.stack([hidden[0][[0, 2, 3]].mean(0), hidden[1, 2]])
    by_hand = by_hand / by_hand.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(mean_pooled(hidden, marks), by_hand)


@pytest.mark.parametrize(
    ("family", "before", "after"),
    [
        ("bert", ["[CLS]"], ["[SEP]"]),
        ("roberta", ["<s>"], ["</s>"]),
        ("gpt2", [], []),
        ("llama", ["<s>"], []),
        ("t5", [], ["</s>"]),
    ],
)
def test_special_tokens(tiny_backbone, family, before, after):
    backbone = tiny_backbone(family)
    names = backbone.tokenizer.convert_ids_to_tokens
    assert [names(ids) for ids in backbone.special_tokens()] == [before, after]


@pytest.mark.parametrize("family", FAMILIES)
def test_ordinary_tokens_are_drawn_from_all_and_always_the_same(tiny_backbone, family):
    backbone = tiny_backbone(family)
    special = backbone.tokenizer.all_special_ids
    ordinary = torch.tensor([n for n in range(len(backbone.tokenizer)) if n not in special])
    order = torch.randperm(len(ordinary), generator=torch.Generator().manual_seed(0))
    drawn = ordinary[order].tolist()  # kept results lean on this draw
    assert backbone.ordinary_ids(len(drawn) + 3) == [*drawn, *drawn[:3]]
    assert backbone.ordinary_ids(5) == drawn[:5]


def test_ordinary_tokens_of_a_vocabulary_with_gaps(tiny_folder, tmp_path):
    """Its highest id is above the count of its entries, and some below name nothing."""
    gaps = range(6, 13)
    folder = tiny.with_gaps(tiny_folder("bert"), tmp_path / "gaps", gaps)
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    ordinary = set(range(5, backbone.rows)) - set(gaps)  # 0 to 4 are the special ones
    assert set(backbone.ordinary_ids(1000)) == ordinary
    assert known_ids(backbone).tolist() == [*range(5), *sorted(ordinary)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_may_use_every_position_and_no_more(tiny_backbone, tiny_folder, family):
    """RoBERTa's table has two rows more than it has positions; one too many fails in the model."""
    backbone = tiny_backbone(family)
    assert backbone.max_length == 64
    model = plain.load(family, tiny_folder(family))
    ids = torch.full((1, 64), backbone.tokenizer.convert_tokens_to_ids("."))
    embedded = model.get_input_embeddings()(ids)
    body = model.encoder if family == "t5" else model
    assert torch.isfinite(body(inputs_embeds=embedded)[0]).all()


# ---- frozen ----


def digest(backbone) -> str:
    state = backbone.model.state_dict()
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in state.values())).hexdigest()


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen_by_construction(tiny_folder, tiny_task, family):
    backbone = load_backbone(str(tiny_folder(family)), device="cpu", dtype=torch.float32)
    assert not any(p.requires_grad for p in backbone.parameters())
    model = prompted(backbone, family, ["terrible", "great"])
    model.train()
    assert model.training and not any(m.training for m in backbone.modules())  # no dropout
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt, before = random_prompt(backbone), digest(backbone)
    start = prompt().detach().clone()
    fit(model, prompt, tiny_task, steps=2, lr=0.1)
    assert not torch.equal(prompt(), start)
    assert digest(backbone) == before
    assert all(p.grad is None for p in backbone.parameters())
    stored = load_file(tiny_folder(family) / "model.safetensors")
    loaded = backbone.model.state_dict()
    assert stored and all(torch.equal(loaded[name], tensor) for name, tensor in stored.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_training_mode_does_not_change_a_frozen_score(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    model, prompt = prompted(backbone, family), random_prompt(backbone)
    quiet = model.eval().scores(prompt, tiny_task.split("test"))
    assert torch.equal(model.train().scores(prompt, tiny_task.split("test")), quiet)


@pytest.mark.parametrize("family", FAMILIES)
def test_trainable_trains_the_weights_and_saves_hugging_faces_format(
    tiny_folder, tiny_task, tmp_path, family
):
    backbone = load_backbone(str(tiny_folder(family)), trainable=True, device="cpu")
    assert backbone.dtype == torch.float32 and "trainable" in backbone.describe()
    before = digest(backbone)
    model = PromptedModel.for_task(backbone, tiny_task, soft=False)
    losses = fit(model, None, tiny_task, steps=30, batch_size=24, lr=3e-3).losses
    assert digest(backbone) != before
    assert sum(losses[-5:]) < sum(losses[:5])
    examples = tiny_task.split("test")
    backbone.save(str(tmp_path / "tuned"))
    again = load_backbone(str(tmp_path / "tuned"), device="cpu", dtype=torch.float32)
    assert digest(again) == digest(backbone)
    reloaded = PromptedModel.for_task(again, tiny_task, soft=False).scores(None, examples)
    torch.testing.assert_close(reloaded, model.eval().scores(None, examples), rtol=0, atol=1e-5)


def test_the_label_side_of_a_trainable_encoder_moves_with_its_weights(tiny_folder, tiny_task):
    backbone = load_backbone(str(tiny_folder("bert-encoder")), trainable=True, device="cpu")
    words = ((10, 11), (12,))
    model = PromptedModel.for_task(backbone, tiny_task, soft=False)
    before = backbone.eval().label_vectors(words).detach()
    fit(model, None, tiny_task, steps=1, lr=1e-2)
    assert not torch.allclose(backbone.eval().label_vectors(words), before)


# ---- loading ----


@pytest.mark.parametrize(
    ("family", "readout"),
    [
        ("bert", "mlm"),
        ("roberta", "mlm"),
        ("gpt2", "causal"),
        ("llama", "causal"),
        ("t5", "seq2seq"),
        ("bert-encoder", "encoder"),
    ],
)
def test_the_readout_follows_from_the_models_own_type(tiny_backbone, family, readout):
    backbone = tiny_backbone(family)
    assert backbone.readout == readout
    assert f"{readout} readout" in backbone.describe() and "frozen" in backbone.describe()


def test_an_unknown_model_is_refused_in_one_line(tmp_path):
    with pytest.raises(LabError) as caught:
        load_backbone(str(tmp_path / "nothing-here"))
    message = str(caught.value)
    assert "nothing-here" in message and "smollm2" in message and "\n" not in message


def test_a_hub_model_without_network_is_refused_in_one_line(no_network, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # no half minute's wait
    with pytest.raises(LabError, match="no-such-owner/no-such-model") as caught:
        load_backbone("no-such-owner/no-such-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_a_damaged_folder_is_refused(tiny_folder, tmp_path, name, keep):
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in tiny_folder("bert").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(LabError, match="cannot be loaded") as caught:
        load_backbone(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_model_of_another_kind_is_refused(tiny_folder, tmp_path):
    config = transformers.BertConfig.from_pretrained(tiny_folder("bert"))
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    with pytest.raises(
        LabError, match=r"BertForSequenceClassification\) has none of the four readouts"
    ):
        load_backbone(str(tmp_path))
