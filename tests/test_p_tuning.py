"""P-Tuning: the encoder against its equations, its gradient, its files, its place in training."""

from __future__ import annotations

import json

import peft
import pytest
import torch
import transformers

from labkit import cli
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel, evaluate
from labkit.core.templates import Verbalizer
from labkit.core.tuning import fit
from labkit.p_tuning import ENCODERS, PromptEncoder, lay_virtual_tokens
from labkit.soft_prompt import CARD, SoftPrompt, load_prompt, save_prompt

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

WORDS = Verbalizer({"negative": "terrible", "positive": "great"})
BETWEEN = "{soft:3}{text}{soft:3} It was {mask}"


def encoder_for(backbone, kind="lstm", seed=0, **settings) -> PromptEncoder:
    start = SoftPrompt.from_vocab(backbone, 6, seed=1)
    return PromptEncoder.from_prompt(start, kind, width=8, seed=seed, **settings)


def one_direction(inputs, weights) -> list[torch.Tensor]:
    """An LSTM by its equations, gate by gate."""
    w_in, w_hidden, b_in, b_hidden = weights
    size = w_hidden.shape[1]
    hidden, cell, found = torch.zeros(size), torch.zeros(size), []
    for row in inputs:
        gates = (w_in @ row + b_in + w_hidden @ hidden + b_hidden).split(size)
        take, forget, output = (gates[i].sigmoid() for i in (0, 1, 3))
        cell = forget * cell + take * gates[2].tanh()
        hidden = output * cell.tanh()
        found.append(hidden)
    return found


@pytest.mark.parametrize("kind", ENCODERS)
def test_forward_is_the_equations(tiny_backbone, kind):
    encoder = encoder_for(tiny_backbone("gpt2"), kind)
    rows = list(encoder.embedding)
    state = encoder.state_dict()
    for layer in range(2 if kind == "lstm" else 0):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ahead = one_direction(rows, [state[f"lstm.{n}_l{layer}"] for n in names])
        back = one_direction(rows[::-1], [state[f"lstm.{n}_l{layer}_reverse"] for n in names])
        rows = [torch.cat(pair) for pair in zip(ahead, back[::-1], strict=True)]
    inner = (torch.stack(rows) @ state["mlp.0.weight"].T + state["mlp.0.bias"]).clamp(min=0)
    expected = inner @ state["mlp.2.weight"].T + state["mlp.2.bias"] + state["offset"]
    torch.testing.assert_close(encoder(), expected)


@pytest.mark.parametrize("kind", ENCODERS)
def test_begins_at_its_start_and_is_spread_like_it(tiny_backbone, kind):
    backbone = tiny_backbone("gpt2")
    words = "a great film with a great cast"
    encoder = PromptEncoder.from_text(backbone, words, 6, kind)
    start = SoftPrompt.from_text(backbone, words, 6)()
    torch.testing.assert_close(encoder(), start)
    written = encoder() - encoder.offset
    torch.testing.assert_close(written.std(), start.std())


def test_the_seed_draws_the_network_and_leaves_the_rest_alone(tiny_backbone):
    backbone = tiny_backbone("gpt2")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (encoder_for(backbone, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.embedding, again.embedding)
    assert not torch.equal(first.embedding, other.embedding)


@pytest.mark.parametrize("kind", ENCODERS)
def test_training_moves_every_part_but_the_offset(tiny_backbone, tiny_task, kind):
    backbone = tiny_backbone("gpt2")
    encoder = encoder_for(backbone, kind)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    history = fit(PromptedModel(backbone, BETWEEN, WORDS), encoder, tiny_task, steps=30, lr=1e-2)
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name]) == (name == "offset"), name
    assert sum(history.losses[-5:]) < sum(history.losses[:5])


def test_an_unfrozen_backbone_is_trained_with_it(tiny_folder, tiny_task):
    backbone = load_backbone(
        str(tiny_folder("gpt2")), device="cpu", dtype=torch.float32, trainable=True
    )
    model, encoder = PromptedModel(backbone, BETWEEN, WORDS), encoder_for(backbone)
    table = backbone.model.get_input_embeddings().weight
    before, embedding = table.detach().clone(), encoder.embedding.detach().clone()
    fit(model, encoder, tiny_task, steps=2, batch_size=4, limit=8)
    assert not torch.equal(table, before)
    assert not torch.equal(encoder.embedding, embedding)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_folding_keeps_every_score(tiny_backbone, tiny_task, tmp_path, family, kind):
    backbone = tiny_backbone(family)
    model, encoder = PromptedModel(backbone, BETWEEN, WORDS), encoder_for(backbone, kind)
    fit(model, encoder, tiny_task, steps=3, batch_size=4)
    expected = evaluate(model, encoder, tiny_task).scores
    save_prompt(tmp_path / "folded", encoder, model)
    opened, card = load_prompt(tmp_path / "folded")
    assert type(opened) is SoftPrompt and card.folded_from == "PromptEncoder"
    assert (evaluate(card.model(backbone), opened, tiny_task).scores == expected).all()
    assert (evaluate(model, encoder.fold(), tiny_task).scores == expected).all()


def test_a_plain_prompt_and_an_older_card_are_not_called_folded(tiny_backbone, tmp_path):
    backbone = tiny_backbone("gpt2")
    model = PromptedModel(backbone, BETWEEN, WORDS)
    save_prompt(tmp_path / "plain", SoftPrompt.from_vocab(backbone, 6), model)
    assert load_prompt(tmp_path / "plain")[1].folded_from == ""
    file = tmp_path / "plain" / CARD
    known = json.loads(file.read_text())
    del known["folded_from"]
    file.write_text(json.dumps(known))
    assert load_prompt(tmp_path / "plain")[1].folded_from == ""


@pytest.mark.parametrize("kind", ENCODERS)
def test_a_resumed_run_ends_bit_identical(tiny_backbone, tiny_task, tmp_path, kind):
    backbone = tiny_backbone("gpt2")
    model = PromptedModel(backbone, BETWEEN, WORDS)
    settings = {"steps": 8, "batch_size": 4, "checkpoint": tmp_path / "run", "save_every": 2}
    whole = encoder_for(backbone, kind)
    fit(model, whole, tiny_task, steps=8, batch_size=4)

    def stop(step, *_):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, encoder_for(backbone, kind), tiny_task, **settings, on_step=stop)
    resumed = encoder_for(backbone, kind)
    fit(model, resumed, tiny_task, **settings, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_peft_opens_a_folded_prompt_in_front(tiny_backbone, tiny_folder, tmp_path):
    backbone = tiny_backbone("gpt2")
    model = PromptedModel(backbone, "{soft}{text} It was {mask}", WORDS)
    encoder = encoder_for(backbone)
    assert save_prompt(tmp_path / "front", encoder, model) == []
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_folder("gpt2"))
    opened = peft.PeftModel.from_pretrained(theirs, tmp_path / "front")
    with torch.no_grad():
        assert torch.equal(opened.get_prompt(batch_size=1)[0], encoder())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "gru"}, "encoder 'gru' is unknown; choose one of lstm, mlp"),
        ({"width": 7}, "width=7"),
        ({"width": 0}, "width=0"),
    ],
)
def test_wrong_settings_are_named(settings, says):
    with pytest.raises(LabError, match=says):
        PromptEncoder(torch.randn(4, 32), **settings)


@pytest.mark.parametrize("kind", ENCODERS)
def test_tune_with_an_encoder_saves_a_folded_prompt(tiny_folder, tiny_task, tmp_path, capsys, kind):
    films = tmp_path / "films"
    films.mkdir()
    for split, examples in tiny_task.splits.items():
        rows = [{"text": e.text, "label": tiny_task.labels[e.label]} for e in examples]
        (films / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    common = ["--backbone", tiny_folder("llama"), "--task", films, "--json"]
    words = ["--template", BETWEEN, "--verbalizer", "negative=terrible,positive=great"]
    sizes = ["--length", 6, "--steps", 3, "--batch-size", 4, "--encoder", kind]

    def lab(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        assert ended.value.code == 0
        return json.loads(capsys.readouterr().out)

    tuned = lab("tune", *common, *words, *sizes, "--out", tmp_path / "mine")
    assert f"--encoder {kind}" in tuned["command"]
    assert load_prompt(tmp_path / "mine")[1].folded_from == "PromptEncoder"
    again = lab("evaluate", *common, "--prompt", tmp_path / "mine")
    assert again["value"] == tuned["value"]


# ---- virtual tokens in the place of words ----


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_laid_virtual_tokens_start_as_the_hard_prompt(tiny_backbone, tiny_task, family):
    backbone = tiny_backbone(family)
    hard = PromptedModel(backbone, "Review: {text} It was {mask}", WORDS)
    soft, start = lay_virtual_tokens(hard)
    examples = tiny_task.split("test")
    torch.testing.assert_close(
        soft.scores(start, examples), hard.scores(None, examples), atol=1e-4, rtol=1e-4
    )
    changed = SoftPrompt(start().flip(0))
    assert (soft.scores(changed, examples) - hard.scores(None, examples)).abs().max() > 1e-3


def hard_prompt(backbone, text) -> PromptedModel:
    return PromptedModel(backbone, text, WORDS)


def test_spaces_and_anchors_stay_words(tiny_backbone):
    hard = hard_prompt(tiny_backbone("llama"), "Review: {text} It was {mask}")
    (model, start), (without, _) = lay_virtual_tokens(hard), lay_virtual_tokens(hard, anchors=())
    slots = model.template.soft_counts(len(start))
    assert model.template.text == f"{{soft:{slots[0]}}}: {{text}}{{soft:{slots[1]}}} {{mask}}"
    assert model.template.mask_follows_space
    assert without.template.text.startswith("{soft:")
    assert ":" not in without.template.without_soft().text


def test_literal_braces_stay_literal(tiny_backbone):
    hard = hard_prompt(tiny_backbone("llama"), "Review }}: {text} It was {mask}")
    model, _ = lay_virtual_tokens(hard, anchors=("}:",))
    assert "}}: {text}" in model.template.text


def test_nothing_to_lay(tiny_backbone):
    backbone = tiny_backbone("llama")
    with pytest.raises(LabError, match="no words to replace"):
        lay_virtual_tokens(hard_prompt(backbone, "{text} {mask}"))
    with pytest.raises(LabError, match="virtual tokens already"):
        lay_virtual_tokens(hard_prompt(backbone, "{soft}{text} It was {mask}"))
