"""Loading: a model that would be scored wrongly is refused in one line that says what to do."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import zoo
from families import LINES
from labkit.core import proofs
from labkit.core.encoding import ExampleEncoder
from labkit.core.errors import LabError
from labkit.core.labels import cut_labels
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.sequences import Encoded, collate
from labkit.core.tasks import Example
from labkit.core.templates import Template, Verbalizer
from labkit.core.tuning import fit
from labkit.soft_prompt import SoftPrompt, nearest_tokens
from zoo import FAMILIES, TOKENIZERS


@pytest.fixture
def copied(tiny_folder, tmp_path):
    """family → a copy of its folder that may be changed."""

    def copy(family):
        return shutil.copytree(tiny_folder(family), tmp_path / family)

    return copy


def load(folder):
    return load_backbone(str(folder), device="cpu", dtype=torch.float32)


def refusal(folder) -> str:
    with pytest.raises(LabError) as caught:
        load(folder)
    message = str(caught.value)
    assert folder.name in message and "\n" not in message and ";" in message
    return message


def change_weights(folder, change) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(change(weights), folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder, **settings) -> None:
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))


# ---- weights ----


def test_a_missing_head_is_named(copied):
    folder = copied("bert")
    change_weights(folder, lambda w: {k: v for k, v in w.items() if k.startswith("bert.")})
    assert "cls.predictions" in refusal(folder) and "complete checkpoint" in refusal(folder)


def test_a_checkpoint_saved_wrapped_is_told_from_an_incomplete_one(copied):
    folder = copied("gpt2")
    change_weights(folder, lambda w: {f"module.{k}": v for k, v in w.items()})
    assert 'prefix "module."' in refusal(folder)


def test_an_encoder_needs_no_pooler(copied, tiny_backbone, tiny_task):
    folder = copied("bert-encoder")
    change_weights(folder, lambda w: {k: v for k, v in w.items() if "pooler" not in k})
    scores = [
        PromptedModel.for_task(b, tiny_task, soft=False).scores(None, tiny_task.split("test"))
        for b in (load(folder), tiny_backbone("bert-encoder"))
    ]
    assert torch.equal(*scores)


def test_weights_that_are_not_numbers(copied):
    folder = copied("gpt2")
    change_weights(folder, lambda w: {k: v.fill_(torch.nan) for k, v in w.items()})
    assert "NaN" in refusal(folder)


def test_a_pointer_in_place_of_the_weights(copied):
    folder = copied("bert")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (folder / "model.safetensors").write_text(pointer)
    assert "git lfs pull" in refusal(folder)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq"])
def test_a_quantised_checkpoint(copied, method):
    folder = copied("llama")
    change_config(folder, quantization_config={"quant_method": method, "bits": 4})
    assert "quantised" in refusal(folder)


def test_a_configuration_without_an_architecture(copied):
    folder = copied("bert")
    change_config(folder, architectures=None)
    assert "no architecture" in refusal(folder)


# ---- tokenizers ----


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "t5", "bert-encoder"])
def test_a_folder_without_a_tokenizer(copied, family):
    folder = copied(family)
    for file in [*folder.glob("*token*"), *folder.glob("vocab*")]:
        file.unlink()
    assert "tokenizer" in refusal(folder) and "save_pretrained" in refusal(folder)


def test_a_token_without_an_embedding_is_named(copied):
    folder = copied("bert")
    tokenizer = TOKENIZERS["words"]()
    tokenizer.add_tokens(["filmmaker"])
    tokenizer.save_pretrained(folder)
    backbone = load(folder)
    model = PromptedModel(backbone, "{text} It was {mask}.", Verbalizer({"a": "good", "b": "bad"}))
    assert model.scores(None, [Example("1", {"text": "a film"}, 0)]).shape == (1, 2)
    with pytest.raises(LabError, match=r"'filmmaker'.*resize_token_embeddings"):
        model.scores(None, [Example("1", {"text": "a filmmaker"}, 0)])
    with pytest.raises(LabError, match="'filmmaker'"):
        SoftPrompt.from_text(backbone, "filmmaker")


def test_rows_behind_the_last_token_are_nobodys_neighbours(copied):
    folder = copied("bert")
    table = load(folder).model.get_input_embeddings().weight
    padded = torch.cat([table, torch.full((64, table.shape[1]), 9.0)])
    model = load(folder).model
    model.resize_token_embeddings(len(padded), mean_resizing=False)
    model.get_input_embeddings().weight.data.copy_(padded)
    model.save_pretrained(folder)
    near = nearest_tokens(load(folder), torch.full((1, table.shape[1]), 9.0), 5)
    assert "" not in near.tokens[0] and near.cosines.max() < 0.99


def test_a_vocabulary_of_characters_has_something_to_start_from(tmp_path):
    """And a tokenizer that keeps no offsets can still shorten a text."""
    backbone = load(FAMILIES["byt5"].build(tmp_path / "byt5"))
    letters = SoftPrompt.from_vocab(backbone, 4)()
    assert letters.shape == (4, 32)
    encoder = ExampleEncoder(backbone, Template("{text}"), 0, bos="text", max_length=40)
    (encoded,) = encoder.encode([Example("1", {"text": "很好看的电影 and long " * 9}, 0)])
    assert encoded.shortened and 20 < len(encoded.ids) <= 40


# ---- label words, as the whole text has them ----


@pytest.mark.parametrize(
    ("family", "line", "text", "word"),
    [
        ("gpt2", "{text} It was {mask}", "A film. It was", " great"),
        ("llama", "{text} It was {mask}", "A film. It was", " marvellous"),
        ("xlm-roberta", "{text}:{mask}.", "a film:", "great"),
        ("xlm-roberta", "{text} It was {mask}.", "a film It was", " great"),
        ("albert", "{text} ({mask})", "a film (", "great"),
        ("xlm-roberta", "{text}a{mask}.", "a filma", "great"),
        ("xlm-roberta", "{text}ve{mask}.", "a filmve", "ry"),
        ("xlm-roberta", "{mask} film, {text}", "", "great"),
        ("xlm-roberta", "{soft}great{mask} film, {text}", "great", "film"),
        ("bert", "{text} It was {mask}.", "a film It was", " wonderful"),
    ],
)
def test_label_pieces_are_those_of_the_whole_text(tmp_path, family, line, text, word):
    backbone = load(FAMILIES[family].build(tmp_path / "model"))

    def cut(whole):
        return backbone.tokenizer(whole, add_special_tokens=False)["input_ids"]

    labels = cut_labels(backbone, Template(line), [(word.strip(),)], sentinel=False)
    assert cut(text) + list(labels.words[0]) == cut(text + word)


def test_a_label_that_melts_into_the_words_before_it_is_refused(tiny_backbone):
    with pytest.raises(LabError, match=r"'reat' melts into .*'a greatreat'|'reat' melts"):
        cut_labels(tiny_backbone("gpt2"), Template("{text} a g{mask}"), [("reat",)], sentinel=False)


# ---- precision and device ----


@pytest.mark.parametrize("device", ["nowhere", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(copied, device):
    with pytest.raises(LabError, match=rf"no device '{device}' here .*; give cpu"):
        load_backbone(str(copied("bert")), device=device)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_precision_of_frozen_models_can_be_set(copied, monkeypatch, dtype):
    """On any machine; neither weights that are trained nor a precision that is asked for follow."""
    folder, name = str(copied("bert")), str(dtype).removeprefix("torch.")
    monkeypatch.setenv("LABKIT_DTYPE", name)
    assert load_backbone(folder, device="cpu").where() == {"device": "cpu", "dtype": name}
    assert load_backbone(folder, device="cpu", trainable=True).dtype == torch.float32
    assert load_backbone(folder, device="cpu", dtype=torch.float64).dtype == torch.float64


def test_a_precision_that_is_none_is_refused(copied, monkeypatch):
    monkeypatch.setenv("LABKIT_DTYPE", "fp8")
    with pytest.raises(LabError, match=r"LABKIT_DTYPE='fp8'.*float32 or bfloat16"):
        load_backbone(str(copied("bert")), device="cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_model_that_looks_ahead_is_refused_in_every_precision(tmp_path, dtype):
    """Also where what it sees there changes scores less than is put down to rounding."""
    folder = FAMILIES["bert, not a decoder"].build(tmp_path / "model")
    with pytest.raises(LabError, match="looks ahead of the place whose next word"):
        load_backbone(str(folder), device="cpu", dtype=dtype)


def test_what_the_head_reads_is_found_in_half_precision_too(tmp_path):
    """OPT's is the decoder inside its body: without it, the first pieces of a longer word were read
    off the first places of the text."""
    folder = FAMILIES["opt"].build(tmp_path / "model")
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.bfloat16)
    assert backbone.body == "model.decoder" and backbone.pads
    words = [tuple(backbone.ordinary_ids(count)) for count in (1, 4)]
    text = Encoded(tuple(backbone.ordinary_ids(20)), 19)
    with torch.no_grad():
        ours = backbone.word_scores(collate([text], backbone.device), None, words)[0]
        theirs = backbone.plain_scores(text.ids, text.answer, words)
    torch.testing.assert_close(ours, theirs, rtol=0.0, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["mobilebert", "funnel", "funnel, not cut", "convbert"])
def test_who_reads_padding_is_known_in_every_precision(tmp_path, family, dtype):
    """Though what it changes there is no more than rounding might."""
    folder = FAMILIES[family].build(tmp_path / "model")
    assert not load_backbone(str(folder), device="cpu", dtype=dtype).pads


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["roberta, decoder", "data2vec-text, decoder"])
def test_who_counts_places_from_the_beginning_goes_on_from_nothing(tmp_path, family, dtype):
    """Words of several pieces lie so far below the others that the error seemed small beside it."""
    folder = FAMILIES[family].build(tmp_path / "model")
    backbone = load_backbone(str(folder), device="cpu", dtype=dtype)
    words = Verbalizer({"negative": "great", "positive": "terrible"})
    model = PromptedModel(backbone, "Film: {text} It was {mask}", words)
    examples = [Example(text, {"text": text}, 0) for text in ("a film", "the film is slow")]
    assert len(backbone.prefix_of(model.encode(examples, None))) == 0


# ---- limits ----


@pytest.mark.parametrize("family", ["xlm-roberta-xl", "data2vec-text", "mpnet"])
def test_a_table_with_an_offset_is_filled_and_not_overrun(tmp_path, family):
    """Without a limit of the tokenizer's; one place more than there are fails in the model."""
    backbone = load(FAMILIES[family].build(tmp_path / "model"))
    assert backbone.max_length == 64
    model = PromptedModel(backbone, "{text} It was {mask}.", Verbalizer({"a": "good", "b": "bad"}))
    long = [Example("1", {"text": "a film and " * 90}, 0)]
    assert len(model.encode(long, None)[0].ids) in (63, 64)
    assert torch.isfinite(model.scores(None, long)).all()


def test_a_long_text_leaves_room_for_an_answer_of_several_pieces(tiny_backbone):
    """Its pieces but the last are read behind the text, and the table of positions has an end."""
    backbone = tiny_backbone("gpt2")
    long = [Example("1", {"text": "a gripping film and " * 60}, 0)]
    words = ("marvellous", "good")
    model = PromptedModel(backbone, "{text} It was {mask}", Verbalizer({"a": "good", "b": "bad"}))
    chosen = model.with_changes(verbalizer=Verbalizer({word: word for word in words}))
    labels = chosen.labels().words
    assert len(labels[0]) > 2
    (encoded,) = chosen.encode(long, None)
    assert len(encoded.ids) + len(labels[0]) - 1 == backbone.max_length == 64
    expected = backbone.plain_scores(encoded.ids, encoded.answer, labels)
    for scores in (chosen.scores(None, long), model.scores(None, long, [words])):
        torch.testing.assert_close(scores[0], expected, rtol=1e-6, atol=1e-5)


# ---- models that read a long text otherwise than a short one ----

REFORMER = zoo.Family(
    "mlm",
    "ReformerForMaskedLM",
    "words",
    {
        **{"hidden_size": 32, "num_attention_heads": 4, "attention_head_size": 8},
        **{"attn_layers": ["local", "lsh"], "feed_forward_size": 64, "num_buckets": 4},
        **{"local_attn_chunk_length": 32, "lsh_attn_chunk_length": 32},
        **{"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16]},
        **{"max_position_embeddings": 64, "is_decoder": False},
    },
)
DOGE = zoo.Family(
    "causal",
    "DogeForCausalLM",
    "bytes",
    {
        **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"num_key_value_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64},
        "keep_window_size": 24,
    },
)
SPARSE = zoo.Family(
    "causal",
    "GlmMoeDsaForCausalLM",
    "bytes",
    {
        **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
        **{"num_key_value_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64},
        **{"q_lora_rank": 16, "kv_lora_rank": 16, "v_head_dim": 8},
        **{"qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "first_k_dense_replace": 2},
        **{"index_n_heads": 2, "index_head_dim": 8, "index_topk": 24},
    },
)
TURNS = [
    (FAMILIES["llama, dynamic rotary"], 48),
    (FAMILIES["phi3, long rotary"], 48),
    (FAMILIES["big_bird, sparse"], 56),
    (REFORMER, 32),
    (DOGE, 24),
    (SPARSE, 24),
]


@pytest.mark.parametrize(("kind", "limit"), TURNS, ids=[kind.kind for kind, _ in TURNS])
def test_a_text_ends_where_all_of_it_would_be_read_otherwise(tmp_path, kind, limit):
    """So a score depends neither on what is in the batch nor on what was read before."""
    folder = kind.build(tmp_path / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = 10**6
    tokenizer.save_pretrained(folder)
    backbone = load(folder)
    assert backbone.max_length == limit
    line = LINES[backbone.readout]
    model = PromptedModel(backbone, line, Verbalizer({"a": "good", "b": "bad"}))
    texts = ["a film", "a gripping film and very funny " * 12, "the plot is dull"]
    examples = [Example(text, {"text": text}, 0) for text in texts]
    ours = model.scores(None, examples)
    words = model.labels().words
    auto = transformers.AutoModelForCausalLM
    if backbone.readout == "mlm":
        auto = transformers.AutoModelForMaskedLM
    for row, encoded in zip(ours, model.encode(examples, None), strict=True):
        own = auto.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.no_grad():
            logits = own(torch.tensor([encoded.ids])).logits[0, encoded.answer]
        theirs = logits if backbone.readout == "mlm" else logits.log_softmax(-1)
        expected = torch.stack([theirs[list(pieces)].mean() for pieces in words])
        assert all(len(pieces) == 1 for pieces in words)
        torch.testing.assert_close(row, expected, rtol=1e-6, atol=1e-5)


def test_a_model_that_looks_up_the_tokens_of_its_input_reads_no_virtual_ones(tmp_path):
    kind = zoo.Family(
        "causal",
        "Gemma4ForCausalLM",
        "bytes with bos",
        {
            **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
            **{"num_key_value_heads": 2, "head_dim": 8, "global_head_dim": 8},
            **{"intermediate_size": 64, "max_position_embeddings": 64, "sliding_window": 16},
            **{"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0},
            "layer_types": ["sliding_attention", "full_attention"],
        },
    )
    backbone = load(kind.build(tmp_path / "model"))
    words = Verbalizer({"a": "good", "b": "bad"})
    example = [Example("1", {"text": "a film"}, 0)]
    hard = PromptedModel(backbone, "{text} It was {mask}", words)
    assert torch.isfinite(hard.scores(None, example)).all()
    soft = PromptedModel(backbone, "{soft}{text} It was {mask}", words)
    with pytest.raises(LabError, match=r"needs the token.*use a hard prompt"):
        soft.scores(SoftPrompt(torch.randn(3, 32)), example)


def test_a_model_without_a_gradient_at_its_input_is_not_trained(tmp_path, tiny_task):
    backbone = load(REFORMER.build(tmp_path / "model"))
    model = PromptedModel.for_task(backbone, tiny_task)
    prompt = SoftPrompt.from_vocab(backbone, 3)
    assert torch.isfinite(model.scores(prompt, tiny_task.split("test"))).all()
    with pytest.raises(LabError, match=r"no gradient at its input .*; use another model"):
        fit(model, prompt, tiny_task, steps=1)


def test_word_embeddings_that_are_no_vectors_are_refused(tmp_path):
    sizes = FAMILIES["roberta"].settings
    kind = zoo.Family("mlm", "IBertForMaskedLM", "roberta", sizes)
    with pytest.raises(LabError, match=r"IBert.*no plain vectors; use another"):
        load(kind.build(tmp_path / "model"))


def test_an_error_of_the_models_own_code_is_one_line(copied, tiny_task, monkeypatch):
    backbone = load(copied("gpt2"))
    model = PromptedModel.for_task(backbone, tiny_task, soft=False)

    def fail(*_: object, **__: object) -> None:
        raise TypeError("full(): no fill_value\nand a second line")

    monkeypatch.setattr(backbone.model, "forward", fail)
    with pytest.raises(LabError, match=r"^gpt2 fails on a batch .*fill_value\); shorten") as caught:
        model.scores(None, tiny_task.split("test"))
    assert "\n" not in str(caught.value) and isinstance(caught.value.__cause__, TypeError)


# ---- what has been found out of a model ----


def test_a_large_model_is_held_against_itself_once(copied, tmp_path, monkeypatch):
    """For the same weights and precision; the path that is remembered is the one that was found."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(proofs, "LARGE", 1)
    asked = []
    prove = proofs._prove
    monkeypatch.setattr(proofs, "_prove", lambda b: (asked.append(b.revision), prove(b)))
    folder = FAMILIES["marian"].build(tmp_path / "marian")
    first, again = load(folder), load(folder)
    assert len(asked) == 1
    assert proofs._Path.of(first) == proofs._Path.of(again)
    assert again.word_scale != 1
    load_backbone(str(folder), device="cpu", dtype=torch.bfloat16)
    change_weights(folder, lambda w: {k: v * 1.1 for k, v in w.items()})
    load(folder)
    assert len(asked) == 3 and len(set(asked)) == 2


@pytest.mark.parametrize("damage", ["{", '{"of another version": 1}', "[]"])
def test_a_damaged_note_costs_time_only(copied, tmp_path, monkeypatch, damage):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(proofs, "LARGE", 1)
    folder = copied("gpt2")
    path = proofs._Path.of(load(folder))
    (tmp_path / "cache" / "paths.json").write_text(damage)
    assert proofs._Path.of(load(folder)) == path


# ---- texts that fill the model ----

CAUSAL_WITH_A_TABLE = ("gpt2", "opt", "gpt_neo", "biogpt", "roberta, decoder", "bert, decoder")


@pytest.mark.parametrize("name", CAUSAL_WITH_A_TABLE)
def test_a_text_that_fills_the_model_scores_as_the_models_own_forward_pass(tmp_path, name):
    """No place is left behind it, not even while the shared beginning is tried out."""
    backbone = load(FAMILIES[name].build(tmp_path / "model"))
    words = Verbalizer({"negative": "great", "positive": "terrible"})
    model = PromptedModel(backbone, "Film: {text} It was {mask}", words)
    texts = ("the film is slow and " * 30, "a film")
    examples = [Example(text[:6], {"text": text}, 0) for text in texts]
    for given in (examples, examples[:1]):  # alone, a text shares all but its last place
        sequences = model.encode(given, None)
        assert len(sequences[0].ids) == backbone.max_length == 64
        with torch.no_grad():
            pieces = model.labels().words
            theirs = [backbone.plain_scores(s.ids, s.answer, pieces) for s in sequences]
        ours = model.scores(None, given)
        torch.testing.assert_close(ours, torch.stack(theirs), rtol=1e-4, atol=1e-4)
        # RoBERTa counts positions by the ids that it is given, so it can't go on from others
        assert bool(backbone.prefix_of(sequences)) == (name != "roberta, decoder")


def test_a_model_that_fails_where_it_is_tried_out_shares_nothing(copied, tiny_task, monkeypatch):
    folder = copied("gpt2")
    backbone, words = load(folder), Verbalizer({"negative": "great", "positive": "terrible"})
    model = PromptedModel(backbone, "Film: {text} It was {mask}", words)
    sequences = model.encode(tiny_task.split("test"), None)
    assert load(folder).prefix_of(sequences)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of place")

    monkeypatch.setattr(backbone, "word_scores", fail)
    assert not backbone.prefix_of(sequences)
