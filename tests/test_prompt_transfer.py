"""Prompts between tasks: similarities against their definitions, neurons against the weights."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy import stats
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from labkit import cli, prompt_transfer
from labkit.core import assets
from labkit.core.errors import LabError
from labkit.core.prompted_model import PromptedModel
from labkit.core.templates import Verbalizer
from labkit.prompt_transfer import TransferTable, active_neurons, read_prompt, similarities
from labkit.soft_prompt import SoftPrompt, save_prompt
from labkit.soft_prompt.decoder_side import DecoderSide

pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning"),
]


def draws(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


# ---- files ----


def test_every_kind_of_file_gives_the_same_matrix(tmp_path):
    (matrix,) = draws((3, 4))
    save_file({"prompt_embeddings": matrix, "other": torch.ones(2, 2)}, tmp_path / "a.safetensors")
    np.savez(tmp_path / "b.npz", prompt=matrix.numpy(), seed=np.array(3))
    np.save(tmp_path / "c.npy", matrix.numpy())
    torch.save(matrix, tmp_path / "d.pt")
    torch.save({"weight": matrix.bfloat16()}, tmp_path / "e.bin")
    for name in ("a.safetensors", "b.npz", "c.npy", "d.pt"):
        torch.testing.assert_close(read_prompt(tmp_path / name), matrix)
    assert read_prompt(tmp_path / "e.bin").dtype == torch.float32


@pytest.mark.parametrize("ending", ["safetensors", "npz", "npy", "pt", "pth", "bin"])
def test_an_empty_file_is_no_prompt(tmp_path, ending):
    file = tmp_path / f"p.{ending}"
    file.touch()
    with pytest.raises(LabError, match=rf"p\.{ending} can't be read as a prompt \(\S") as caught:
        read_prompt(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [bool, int, complex])
def test_numbers_that_are_no_fractions_are_no_prompt(tmp_path, kind):
    np.save(tmp_path / "p.npy", np.ones((3, 8), kind))
    with pytest.raises(LabError, match=r"p\.npy holds (bool|int64|complex128); a prompt's vectors"):
        read_prompt(tmp_path / "p.npy")


def test_a_pickle_is_not_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "trap.pt").write_bytes(pickle.dumps(Trap()))
    torch.save({"prompt": Trap()}, tmp_path / "trap2.pt")
    np.savez(tmp_path / "trap.npz", prompt=np.array([Trap()], dtype=object))
    for name in ("trap.pt", "trap2.pt", "trap.npz"):
        with pytest.raises(LabError, match=r"trap2?\.(pt|npz) can't be read as a prompt"):
            read_prompt(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.pt", None, "does not exist"),
        ("prompt.txt", b"1 2", "no kind of file"),
        ("cut.safetensors", b"\x08\0\0", "can't be read"),
        ("empty.npz", {}, r"holds 0 matrices \(none\)"),
        ("two.npz", {"a": np.ones((2, 2)), "b": np.ones((2, 2))}, r"holds 2 matrices \(a, b\)"),
        ("nan.npz", {"a": np.full((2, 2), np.nan)}, "NaN"),
    ],
)
def test_a_file_without_a_prompt_is_named(tmp_path, name, content, says):
    if isinstance(content, dict):
        np.savez(tmp_path / name, **content)
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LabError, match=says) as found:
        read_prompt(tmp_path / name)
    assert name in str(found.value)


# ---- similarities of vectors ----


def by_definition(metric, a, b):
    """Each metric by loops over virtual tokens, in numpy."""

    def cosine(x, y):
        return x @ y / np.sqrt((x @ x) * (y @ y))

    def near(distance):
        return 1 / (1 + distance)

    pairs = list(itertools.product(a, b))
    return {
        "cosine-mean": lambda: cosine(a.mean(0), b.mean(0)),
        "cosine-pairs": lambda: np.mean([cosine(x, y) for x, y in pairs]),
        "cosine-concat": lambda: cosine(a.ravel(), b.ravel()),
        "euclidean-mean": lambda: near(np.linalg.norm(a.mean(0) - b.mean(0))),
        "euclidean-pairs": lambda: near(np.mean([np.linalg.norm(x - y) for x, y in pairs])),
        "euclidean-concat": lambda: near(np.linalg.norm(a - b)),
    }[metric]()


@pytest.mark.parametrize("metric", prompt_transfer.VECTOR_METRICS)
def test_similarity_is_its_definition(metric):
    prompts = draws((4, 6), (4, 6), (4, 6))
    found = similarities(prompts, metric)
    for i, j in itertools.product(range(3), repeat=2):
        expected = by_definition(metric, *(prompts[k].double().numpy() for k in (i, j)))
        assert found[i, j] == pytest.approx(expected, rel=1e-6)


def test_order_of_the_virtual_tokens_matters_to_the_concatenated_ones_only():
    a, b = draws((5, 6), (5, 6))
    shuffled = b[torch.tensor([2, 0, 4, 1, 3])]
    for metric in prompt_transfer.VECTOR_METRICS:
        same = similarities([a, b], metric)[0, 1] == pytest.approx(
            similarities([a, shuffled], metric)[0, 1]
        )
        assert same == (not metric.endswith("concat")), metric


def test_a_prompt_is_most_alike_to_itself_except_by_pairs():
    """The mean over all pairs compares a prompt's tokens with each other too."""
    a, b = draws((4, 6), (4, 6))
    for metric in ("cosine-mean", "cosine-concat", "euclidean-mean", "euclidean-concat"):
        assert similarities([a, b], metric).diagonal() == pytest.approx([1, 1])
    assert similarities([a], "cosine-pairs")[0, 0] < 1


def test_shapes_that_cannot_be_compared():
    longer, wider = draws((5, 6), (4, 7))
    (a,) = draws((4, 6))
    assert similarities([a, longer], "cosine-mean").shape == (2, 2)
    with pytest.raises(LabError, match=r"\(4, 6\) and \(5, 6\)"):
        similarities([a, longer], "euclidean")
    with pytest.raises(LabError, match=r"widths \[6, 7\]"):
        similarities([a, wider], "cosine-mean")
    with pytest.raises(LabError, match="'cosin' is unknown; choose one of cosine-mean"):
        similarities([a], "cosin")
    with pytest.raises(LabError, match="name the backbone"):
        similarities([a], "neurons")


# ---- neurons ----


def hidden_states(backbone, vectors):
    """The input of each layer's feed-forward block, from Hugging Face's own forward pass."""
    found = []
    kind = {"gpt2": ".mlp", "llama": ".mlp", "t5": ".DenseReluDense", "bert": ".intermediate"}
    ending = kind[backbone.model.config.model_type]
    handles = [
        module.register_forward_pre_hook(lambda _m, inputs: found.append(inputs[0]))
        for name, module in backbone.model.named_modules()
        if name.endswith(ending) and ("decoder" in name or ending != ".DenseReluDense")
    ]
    table = backbone.model.get_input_embeddings()
    tokenizer = backbone.tokenizer

    def words(*ids):
        return table(torch.tensor([ids], dtype=torch.long))

    soft = vectors[None]
    with torch.no_grad():
        if backbone.readout == "seq2seq":
            inputs = torch.cat([soft, words(tokenizer.eos_token_id)], 1)
            backbone.model(inputs_embeds=inputs, decoder_input_ids=torch.tensor([[0]]))
            slot = 0
        elif backbone.readout == "mlm":
            ids = (tokenizer.cls_token_id, tokenizer.mask_token_id, tokenizer.sep_token_id)
            backbone.model(inputs_embeds=torch.cat([soft, words(*ids)], 1))
            slot = len(vectors) + 1
        elif backbone.readout == "encoder":
            backbone.model(
                inputs_embeds=torch.cat(
                    [soft, words(tokenizer.cls_token_id, tokenizer.sep_token_id)], 1
                )
            )
            slot = [len(vectors), len(vectors) + 1]  # both are pooled
        else:
            before, _ = backbone.special_tokens()
            inputs = torch.cat([soft, words(*before)], 1) if before else soft
            backbone.model(inputs_embeds=inputs)
            slot = inputs.shape[1] - 1
    for handle in handles:
        handle.remove()
    return [states[0, slot] for states in found]


def fires(backbone, layer, state):
    """Whether the pre-activations are above zero: there GELU, SiLU and ReLU are positive.

    Of an encoder's several positions: whether the mean of the activations is.
    """
    model = backbone.model
    with torch.no_grad():
        if backbone.readout == "encoder":
            return F.gelu(model.encoder.layer[layer].intermediate.dense(state)).mean(0) > 0
        if model.config.model_type == "bert":
            return model.bert.encoder.layer[layer].intermediate.dense(state) > 0
        if model.config.model_type == "gpt2":
            return model.transformer.h[layer].mlp.c_fc(state[None])[0] > 0
        if model.config.model_type == "llama":
            return model.model.layers[layer].mlp.gate_proj(state) > 0
        return model.decoder.block[layer].layer[2].DenseReluDense.wi_0(state) > 0


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "t5", "bert-encoder"])
def test_active_neurons_are_those_of_the_weights(tiny_backbone, family):
    backbone = tiny_backbone(family)
    vectors = SoftPrompt.from_vocab(backbone, 4).weight.detach()
    states = hidden_states(backbone, vectors)
    expected = torch.cat([fires(backbone, layer, state) for layer, state in enumerate(states)])
    assert len(states) == 2 and 0 < expected.sum() < len(expected)
    torch.testing.assert_close(active_neurons(backbone, vectors), expected)


def test_an_encoder_has_neurons_too_and_hooks_are_gone(tiny_backbone):
    backbone = tiny_backbone("bert-encoder")
    vectors = SoftPrompt.from_vocab(backbone, 4).weight.detach()
    found = active_neurons(backbone, vectors)
    assert found.shape == (2 * 64,) and 0 < found.sum() < len(found)
    assert not any(m._forward_hooks for m in backbone.model.modules())
    both = similarities([vectors, vectors.flip(0)], "neurons", backbone)
    assert both[0, 0] == pytest.approx(1) and 0 < both[0, 1] < 1


def test_neurons_in_front_of_the_decoder_hear_every_virtual_token(tiny_backbone):
    view = DecoderSide.of(tiny_backbone("t5"))
    vectors = torch.randn(4, view.hidden_size, generator=torch.Generator().manual_seed(0))
    found = active_neurons(view, vectors)
    for token in range(4):
        other = vectors.clone()
        other[token] *= -3
        assert not torch.equal(active_neurons(view, other), found)


def test_overlap_is_the_cosine_of_the_two_sets():
    a = torch.tensor([1, 1, 1, 1, 0, 0], dtype=torch.bool)
    b = torch.tensor([0, 0, 0, 1, 0, 0], dtype=torch.bool)
    assert prompt_transfer.neuron_overlap(a, b) == pytest.approx(0.5)
    assert prompt_transfer.neuron_overlap(a, ~a | ~a & b) == 0
    assert prompt_transfer.neuron_overlap(a, torch.zeros(6, dtype=torch.bool)) == 0
    with pytest.raises(LabError, match="6 and 5 neurons"):
        prompt_transfer.neuron_overlap(a, b[:5])


def test_neurons_of_a_prompt_for_another_model(tiny_backbone):
    with pytest.raises(LabError, match=r"shape \(4, 6\) does not fit .*width 32"):
        active_neurons(tiny_backbone("gpt2"), draws((4, 6))[0])


# ---- what a table of transfer says ----


def table_of(values, sources, targets, seen=None) -> TransferTable:
    values = np.asarray(values, dtype=float)
    seen = np.zeros(values.shape[1:], dtype=bool) if seen is None else np.asarray(seen)
    majority = np.full(len(targets), 0.5)
    return TransferTable(
        tuple(sources), tuple(targets), values, {}, seen, majority, tuple(range(len(values)))
    )


NAMES = ("cr", "mpqa", "rte", "qnli")


def test_same_kind_minus_other_kind_by_hand():
    # targets cr and mpqa gain 0.2 from each other over the pair tasks; rte and qnli 0.1
    values = [
        [9, 0.7, 0.5, 0.5],
        [0.7, 9, 0.5, 0.5],
        [0.5, 0.5, 9, 0.6],
        [0.5, 0.5, 0.6, 9],
    ]
    found = prompt_transfer.kind_difference(table_of([values, values], NAMES, NAMES))
    assert found.value == pytest.approx(0.15) and found.targets == 4
    low, high = stats.t.interval(0.95, 3, 0.15, stats.sem([0.2, 0.2, 0.1, 0.1]))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_seen_pair_is_left_out():
    values = [[9, 0.9, 0.5, 0.5], [0.9, 9, 0.5, 0.5], [0.5, 0.5, 9, 0.6], [0.5, 0.5, 0.6, 9]]
    seen = np.zeros((4, 4), dtype=bool)
    seen[0, 1] = True  # then mpqa has no source of its kind left
    found = prompt_transfer.kind_difference(table_of([values], NAMES, NAMES, seen))
    assert found.targets == 3 and found.value == pytest.approx((0.4 + 0.1 + 0.1) / 3)


def test_a_seen_pair_of_another_kind_is_left_out_too():
    values = [[9, 0.7, 0.9, 0.5], [0.7, 9, 0.5, 0.5], [0.5, 0.5, 9, 0.6], [0.5, 0.5, 0.6, 9]]
    seen = np.zeros((4, 4), dtype=bool)
    seen[0, 2] = True  # cr onto rte: what is left of another kind for rte is mpqa's 0.5
    found = prompt_transfer.kind_difference(table_of([values], NAMES, NAMES, seen))
    assert found.targets == 4 and found.value == pytest.approx((0.2 + 0.2 + 0.1 + 0.1) / 4)
    seen[3, 2] = True  # and now rte has no source of its own kind
    found = prompt_transfer.kind_difference(table_of([values], NAMES, NAMES, seen))
    assert found.targets == 3 and found.value == pytest.approx((0.2 + 0.2 + 0.1) / 3)


def test_seen_pairs_are_those_of_the_data():
    assert prompt_transfer.is_seen("cr", "amazon-valence", "smollm2")
    assert not prompt_transfer.is_seen("cr", "mpqa", "minilm")
    assert prompt_transfer.is_seen("mnli", "cr", "minilm")
    assert not prompt_transfer.is_seen("mnli", "cr", "smollm2")
    assert prompt_transfer.is_seen(None, "mnli", "minilm")
    assert not prompt_transfer.is_seen("cr", "cr", "minilm")


def test_rank_correlation_is_spearmans():
    random = np.random.default_rng(0)
    for _ in range(20):
        x, y = random.integers(0, 6, (2, 9))  # with ties
        if np.ptp(x) and np.ptp(y):
            expected = stats.spearmanr(x, y).statistic
            assert prompt_transfer.rank_correlation(x, y) == pytest.approx(expected)
    assert prompt_transfer.rank_correlation([1, 1, 1], [1, 2, 3]) == 0
    with pytest.raises(LabError, match="at least 3"):
        prompt_transfer.rank_correlation([1, 2], [1, 2])


def test_similarity_against_transfer_ranks_within_a_target():
    random = np.random.default_rng(1)
    values, alike = random.random((2, 2, 4, 4))
    table = table_of(values, NAMES, NAMES)
    expected = [
        np.mean([stats.spearmanr(alike[r, o, t], values[r, o, t]).statistic for r in range(2)])
        for t in range(4)
        for o in [[s for s in range(4) if s != t]]
    ]
    found = prompt_transfer.similarity_against_transfer(table, alike)
    assert found.value == pytest.approx(np.mean(expected)) and found.targets == 4
    # another scale of a target's accuracies changes nothing
    scaled = table._replace(values=values * [1, 2, 3, 4])
    assert prompt_transfer.similarity_against_transfer(scaled, alike) == found


# ---- the command line ----


def test_labkit_transfer_similarity(tmp_path, capsys, tiny_folder, tiny_backbone):
    (matrix,) = draws((3, 32))
    np.savez(tmp_path / "a.npz", prompt=matrix.numpy())
    backbone = tiny_backbone("gpt2")
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    model = PromptedModel(backbone, "{soft}{text} It was {mask}", words)
    save_prompt(tmp_path / "b", SoftPrompt(matrix * 2), model)
    files = [str(tmp_path / name) for name in ("a.npz", "b")]

    def run(*options):
        with pytest.raises(SystemExit) as left:
            cli.main(["transfer", "similarity", *files, *options])
        return left.value.code, capsys.readouterr()

    code, said = run("--json")
    told = json.loads(said.out)
    assert code == 0 and told["names"] == ["a", "b"] and told["metric"] == "cosine-mean"
    np.testing.assert_allclose(told["matrix"], np.ones((2, 2)), rtol=1e-6)
    code, said = run("--metric", "neurons", "--backbone", str(tiny_folder("gpt2")))
    assert code == 0 and "1.000" in said.out
    code, said = run("--metric", "neurons")
    assert code == 2 and "--backbone" in said.err
    np.savez(tmp_path / "a.npz", prompt=np.ones((3, 8)))
    code, said = run()
    assert code == 2 and "widths [8, 32]" in said.err


def test_what_training_added_is_compared_without_the_common_start():
    start, a, b = draws((3, 6), (3, 6), (3, 6))
    added = prompt_transfer.since_start({"a": start + a, "b": start + b, "none": start}, start)
    torch.testing.assert_close(added["a"], a)
    torch.testing.assert_close(added["b"], b)
    assert not added["none"].any()
    with pytest.raises(LabError, match="'short' of shape"):
        prompt_transfer.since_start({"short": start[:2]}, start)


def test_the_gain_of_a_kind_by_loops_over_its_sources():
    names = ("cr", "sst2", "mpqa", "rte", "qnli", "mrpc")
    values = np.random.default_rng(0).random((2, 6, 6))
    seen = np.zeros((6, 6), dtype=bool)
    seen[0, 1] = seen[3, 4] = True  # qnli is left without a fair source of its kind
    table = table_of(values, names, names, seen)
    level = np.random.default_rng(1).random(6)
    kin = {"cr": ["sst2", "mpqa"], "sst2": ["mpqa"], "mpqa": ["cr", "sst2"], "rte": ["qnli"]}
    gains = [
        np.mean([values[r, names.index(s), names.index(t)] for r in range(2) for s in sources])
        - level[names.index(t)]
        for t, sources in kin.items()
    ]
    found = prompt_transfer.same_kind_gain(table, level)
    assert found.value == pytest.approx(np.mean(gains)) and found.targets == 4
    assert found.low < found.value < found.high
    with pytest.raises(LabError, match="one each"):
        prompt_transfer.same_kind_gain(table, level[:3])


def test_retrieval_is_held_against_any_fair_source():
    values = np.array([[[0.9, 0.5, 0.7], [0.4, 0.9, 0.5], [0.8, 0.6, 0.9]]])
    names = ("cr", "rte", "mpqa")
    table = table_of(values, names, names)
    best = prompt_transfer.retrieved(table, values)
    assert best.value == pytest.approx(np.mean([0.2, 0.05, 0.1]))
    worst = prompt_transfer.retrieved(table, -values)
    assert worst.value == pytest.approx(-best.value)
    assert prompt_transfer.retrieved(table, np.ones((3, 3))).value == pytest.approx(0)
    seen = np.array([[False, False, False], [True, False, False], [False, False, False]])
    assert prompt_transfer.retrieved(table_of(values, names, names, seen), values).targets == 2
    with pytest.raises(LabError, match=r"\(seeds, sources, targets\)"):
        prompt_transfer.retrieved(table, np.ones((2, 2)))


# ---- a start from other prompts ----


def test_the_library_is_ranked_by_similarity():
    (target, far) = draws((4, 6), (4, 6))
    library = {"far": far, "copy": target.clone(), "near": target + 0.1 * far}
    found = prompt_transfer.likeness(target, library)
    assert list(found)[:2] == ["copy", "near"]
    for name, value in found.items():
        assert value == pytest.approx(
            by_definition("cosine-mean", target.double().numpy(), library[name].double().numpy())
        )
    with pytest.raises(LabError, match="holds no prompts"):
        prompt_transfer.likeness(target, {})


def test_a_library_is_a_folder_of_prompts(tmp_path, tiny_backbone):
    with pytest.raises(LabError, match="holds no saved prompts"):
        prompt_transfer.read_library(tmp_path)
    (matrix,) = draws((3, 32))
    np.savez(tmp_path / "a.npz", prompt=matrix.numpy())
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    model = PromptedModel(tiny_backbone("gpt2"), "{soft}{text} It was {mask}", words)
    save_prompt(tmp_path / "b-0.5", SoftPrompt(matrix), model)
    (tmp_path / "notes.txt").write_text("no prompt")
    found = prompt_transfer.read_library(tmp_path)
    assert list(found) == ["a", "b-0.5"]
    torch.testing.assert_close(found["a"], found["b-0.5"])


def test_a_library_of_one_seed(tmp_path):
    for name, value in {"rte-seed1": 1.0, "rte-seed11": 11.0, "cr-seed1": 2.0}.items():
        np.savez(tmp_path / f"{name}.npz", prompt=np.full((2, 3), value))
    found = prompt_transfer.read_library(tmp_path, seed=1)
    assert {name: float(matrix[0, 0]) for name, matrix in found.items()} == {"rte": 1, "cr": 2}
    with pytest.raises(LabError, match="no saved prompts of seed 2"):
        prompt_transfer.read_library(tmp_path, seed=2)


def test_weighted_average_by_loops():
    prompts = draws((2, 3), (2, 3), (2, 3))
    found = prompt_transfer.weighted_average(prompts, [1, 0, 3])
    for i, j in itertools.product(range(2), range(3)):
        assert found[i, j] == pytest.approx(float(prompts[0][i, j] + 3 * prompts[2][i, j]) / 4)
    with pytest.raises(LabError, match="may be negative"):
        prompt_transfer.weighted_average(prompts, [1, -1, 3])
    with pytest.raises(LabError, match="2 weights"):
        prompt_transfer.weighted_average(prompts, [1, 1])
    with pytest.raises(LabError, match=r"shapes \[\(2, 3\), \(3, 3\)\]"):
        prompt_transfer.weighted_average([prompts[0], torch.ones(3, 3)], [1, 1])


def test_the_weighted_start_leaves_opposites_out():
    a, b = draws((4, 6), (4, 6))
    library = {"same": a, "opposite": -a, "other": b}
    start = prompt_transfer.weighted_start(library, {"same": 0.9, "opposite": -1.0})
    torch.testing.assert_close(start, a)
    start = prompt_transfer.weighted_start(library, {"same": 0.75, "other": 0.25})
    torch.testing.assert_close(start, 0.75 * a + 0.25 * b)
    start = prompt_transfer.weighted_start(library, {"opposite": -1.0, "same": -0.5})
    torch.testing.assert_close(start, torch.zeros(4, 6))


def test_steps_to_reach():
    curve = [(10, 0.5), (20, 0.7), (30, 0.6)]
    assert prompt_transfer.steps_to_reach(curve, 0.6) == 20
    assert prompt_transfer.steps_to_reach(curve, 0.71) is None


def test_a_mixture_learns_from_every_task_and_touches_the_prompt_only(tiny_backbone, tiny_task):
    backbone = tiny_backbone("bert-encoder")
    other = replace(tiny_task, name="other", prompts=tiny_task.prompts)
    before = [p.clone() for p in backbone.model.parameters()]

    def train(tasks, steps):
        prompt = SoftPrompt.from_vocab(backbone, 3)
        losses = prompt_transfer.fit_mixture(
            backbone, prompt, tasks, steps=steps, batch_size=4, lr=0.05
        )
        assert len(losses) == steps
        return prompt.weight.detach()

    flipped = replace(
        other,
        splits={
            **other.splits,
            "train": tuple(replace(e, label=1 - e.label) for e in other.split("train")),
        },
    )
    start = SoftPrompt.from_vocab(backbone, 3).weight
    alone = train([tiny_task], 2)
    assert not torch.equal(alone, start)
    assert not torch.allclose(train([tiny_task, flipped], 2), train([tiny_task, other], 2))
    torch.testing.assert_close(train([tiny_task, flipped], 1), train([tiny_task], 1))
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.model.parameters(), strict=True))


def test_a_mixture_goes_through_all_examples_of_each_task_in_turn(
    monkeypatch, tiny_backbone, tiny_task_named
):
    backbone, tasks = tiny_backbone("bert-encoder"), [tiny_task_named(n) for n in ("one", "two")]
    batches, inner = [], prompt_transfer.starts.scoring.training_scores

    def spy(backbone, sequences, *given):
        batches.append([tuple(sequence.ids) for sequence in sequences])
        return inner(backbone, sequences, *given)

    monkeypatch.setattr(prompt_transfer.starts.scoring, "training_scores", spy)
    prompt = SoftPrompt.from_vocab(backbone, 3)
    prompt_transfer.fit_mixture(backbone, prompt, tasks, steps=12, batch_size=4, lr=0.05)
    for first, task in enumerate(tasks):
        seen = [ids for batch in batches[first::2] for ids in batch]
        model = PromptedModel.for_task(backbone, task)
        every = model.encode(task.split("train"), prompt().detach())
        assert sorted(seen) == sorted(tuple(sequence.ids) for sequence in every)


def test_a_steep_gradient_of_a_mixture_is_clipped_to_length_one(tiny_backbone, tiny_task):
    class Steep(torch.nn.Module):
        """A prompt whose gradient is a thousand times as long."""

        def __init__(self, start):
            super().__init__()
            self.weight = torch.nn.Parameter(start / 1000)

        def forward(self):
            return 1000 * self.weight

    backbone = tiny_backbone("bert-encoder")
    prompt = Steep(SoftPrompt.from_vocab(backbone, 3)().detach())
    given, taken = [], []
    prompt.weight.register_hook(lambda gradient: given.append(gradient.clone()))
    handle = register_optimizer_step_pre_hook(lambda *_: taken.append(prompt.weight.grad.clone()))
    try:
        prompt_transfer.fit_mixture(backbone, prompt, [tiny_task], steps=2, batch_size=4, lr=1e-6)
    finally:
        handle.remove()
    assert len(given) == len(taken) == 2 and all(gradient.norm() > 2 for gradient in given)
    for before, after in zip(given, taken, strict=True):
        torch.testing.assert_close(after, before / before.norm())


# ---- ensembles ----


@pytest.mark.parametrize("positions", [True, False, "set"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "bert-encoder"])
def test_one_batch_of_many_prompts_is_each_of_them_alone(
    tiny_backbone, tiny_task, family, positions
):
    backbone = tiny_backbone(family)
    model = PromptedModel.for_task(backbone, tiny_task).with_changes(positions=positions)
    prompts = [SoftPrompt.from_vocab(backbone, 3, seed=seed) for seed in range(3)]
    examples = tiny_task.split("test")
    found = prompt_transfer.ensemble_scores(model, prompts, examples)
    alone = torch.stack([model.scores(prompt, examples) for prompt in prompts])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-4)


def test_prompts_of_an_ensemble_have_one_length(tiny_backbone, tiny_task):
    backbone = tiny_backbone("gpt2")
    model = PromptedModel.for_task(backbone, tiny_task)
    prompts = [SoftPrompt.from_vocab(backbone, length) for length in (2, 3)]
    with pytest.raises(LabError, match=r"lengths \[2, 3\]"):
        prompt_transfer.ensemble_scores(model, prompts, tiny_task.split("test"))


def test_votes_against_counting():
    scores = torch.randn(5, 200, 3, generator=torch.Generator().manual_seed(0))
    chosen = scores.argmax(-1).T.tolist()
    probability = np.exp(scores.double().numpy())
    probability /= probability.sum(-1, keepdims=True)
    mean = probability.mean(0)
    for n, votes in enumerate(chosen):
        counts = [votes.count(c) for c in range(3)]
        best = [c for c in range(3) if counts[c] == max(counts)]
        expected = max(best, key=lambda c: mean[n, c])
        assert prompt_transfer.majority_vote(scores)[n] == expected
    assert prompt_transfer.mean_vote(scores).tolist() == mean.argmax(-1).tolist()


# ---- the command line ----


@pytest.mark.skipif(not assets.is_ready(assets.ASSETS["vader"]), reason="run `labkit assets fetch`")
def test_labkit_transfer_retrieve_and_pretrain(tmp_path, capsys, tiny_folder, tiny_backbone):
    folder, backbone = tiny_folder("bert-encoder"), tiny_backbone("bert-encoder")
    words = Verbalizer({"negative": "terrible", "positive": "great"})
    model = PromptedModel(backbone, "{soft}{text}", words)
    library = {f"source{seed}": SoftPrompt.from_vocab(backbone, 3, seed) for seed in range(3)}
    for name, prompt in library.items():
        save_prompt(tmp_path / "library" / name, prompt, model)

    def run(*words):
        with pytest.raises(SystemExit) as left:
            cli.main(["transfer", *words, "--backbone", str(folder), "--json"])
        said = capsys.readouterr()
        return left.value.code, said.err if left.value.code else json.loads(said.out)

    where = ["--library", str(tmp_path / "library"), "--out", str(tmp_path / "start")]
    retrieve = ["retrieve", "--task", "rt-polarity", "--steps", "1", "--limit", "8", *where]
    code, told = run(*retrieve)
    assert code == 0 and told["sources"] == list(told["similarity"])[:1]
    assert list(told["similarity"].values()) == sorted(told["similarity"].values(), reverse=True)
    best = library[told["sources"][0]].weight
    torch.testing.assert_close(read_prompt(tmp_path / "start"), best.detach())
    code, told = run(*retrieve, "--strategy", "average", "--k", "2")
    weights = [max(told["similarity"][name], 0) for name in told["sources"]]
    chosen = [library[name].weight.detach() for name in told["sources"]]
    expected = sum(w * p for w, p in zip(weights, chosen, strict=True)) / sum(weights)
    torch.testing.assert_close(read_prompt(tmp_path / "start"), expected)
    code, said = run(*retrieve, "--strategy", "worst")
    assert code == 2 and "best or average" in said

    for form in ("pairs", "single"):
        out = str(tmp_path / form)
        made = ["--form", form, "--examples", "60", "--length", "3", "--steps", "1", "--out", out]
        code, told = run("pretrain", *made)
        assert code == 0, told
        assert told["form"] == form and told["steps"] == 1 and 0 <= told["value"] <= 1
        assert read_prompt(out).shape == (3, 32)
    code, said = run("pretrain", "--form", "song", "--out", str(tmp_path / "x"))
    assert code == 2 and "pairs, choice or single" in said
