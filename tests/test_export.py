"""Exported prompts: plain transformers, given plain text, scores labels as labkit does."""

from __future__ import annotations

import functools
import json
import math
import re
import shutil

import pytest
import torch
import transformers
from torch.nn import functional as F

import plain
import tiny
from labkit import cli
from labkit.core import assets, loading
from labkit.core.conversions import quiet_transformers
from labkit.core.errors import LabError
from labkit.core.loading import load_backbone
from labkit.core.prompted_model import PromptedModel
from labkit.core.tasks import Example
from labkit.core.templates import Template, Verbalizer
from labkit.soft_prompt import SoftPrompt, export, files, save_prompt
from labkit.soft_prompt.export import export_as_tokens
from tiny import FAMILIES

WORDS = ["terrible", "great", "marvellous"]  # of one piece and of several
LENGTH = 6


def random_prompt(backbone, length=LENGTH) -> SoftPrompt:
    generator = torch.Generator().manual_seed(0)
    return SoftPrompt(torch.randn(length, backbone.hidden_size, generator=generator) * 0.5)


def prompted(backbone, family, **settings) -> PromptedModel:
    template = Template(plain.TEMPLATES[family]).with_soft()
    return PromptedModel(backbone, template, Verbalizer({w: w for w in WORDS}), **settings)


ROOMY = ("llama", "t5")
"""Families without any bias: their random states point everywhere, and need rows to spare."""


@pytest.fixture(scope="module")
def source(tiny_folder, tmp_path_factory):
    """family → folder of its tiny model, with rows to spare where it needs them."""

    @functools.cache
    def find(family, spare=LENGTH + 3, tied=None):
        if family not in ROOMY:
            return tiny_folder(family)
        folder = tmp_path_factory.mktemp("roomy") / family
        hf, tokenizer = plain.load(family, tiny_folder(family)), tokenizer_of(tiny_folder(family))
        hf.config.tie_word_embeddings = hf.config.tie_word_embeddings if tied is None else tied
        torch.manual_seed(0)
        with quiet_transformers():
            hf = type(hf)(hf.config)
            hf.resize_token_embeddings(len(tokenizer) + spare, mean_resizing=False)
            for parameter in hf.parameters():
                if parameter.ndim == 2:
                    torch.nn.init.normal_(parameter, std=0.15 if family == "t5" else 0.3)
            hf.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        return folder

    return find


def tokenizer_of(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request, source, tmp_path_factory):
    """A family, its model and prompt here, and the folder that they were exported to."""
    family = request.param
    backbone = load_backbone(str(source(family)), device="cpu", dtype=torch.float32)
    model, prompt = prompted(backbone, family), random_prompt(backbone)
    folder = tmp_path_factory.mktemp("exported") / family
    return family, model, prompt, folder, export_as_tokens(folder, prompt, model)


def text_scores(family, hf, tokenizer, text, originally=None):
    """Score of each word by a plain forward pass on a tokenized text: (W,)."""

    def pieces(words):
        own = tokenizer if originally is None else originally[1]
        return own(words, add_special_tokens=False)["input_ids"]

    if family in ("bert", "roberta"):
        ids = tokenizer(f"{text} It was{tokenizer.mask_token}.", return_tensors="pt")
        where = ids["input_ids"][0].tolist().index(tokenizer.mask_token_id)
        logits = hf(**ids).logits[0, where]
        return torch.stack([logits[pieces(f" {word}")].mean() for word in WORDS])
    if family in ("gpt2", "llama"):
        totals = []
        for word in WORDS:
            ids, total = tokenizer(f"{text} It was")["input_ids"], torch.zeros(())
            for piece in pieces(f" {word}"):
                total = total + hf(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[piece]
                ids = [*ids, piece]
            totals.append(total)
        return torch.stack(totals)
    source = tokenizer(text, return_tensors="pt")["input_ids"]
    if family == "t5":
        targets = [torch.tensor([[*pieces(w), tokenizer.eos_token_id]]) for w in WORDS]
        return torch.stack([-hf(source, labels=t).loss * t.shape[1] for t in targets])
    hidden = hf(source).last_hidden_state[0]
    virtual = torch.tensor(["<soft-" in t for t in tokenizer.convert_ids_to_tokens(source[0])])
    model, own = originally
    labels = [model(**own(w, return_tensors="pt")).last_hidden_state[0].mean(0) for w in WORDS]
    mean = hidden[~virtual].mean(0)
    return 20 * torch.stack([F.cosine_similarity(mean, label, dim=0) for label in labels])


def test_plain_text_scores_as_labkit_does(exported, source, tiny_task):
    family, model, prompt, folder, told = exported
    hf, tokenizer = plain.load(family, folder), transformers.AutoTokenizer.from_pretrained(folder)
    original = plain.load(family, source(family)), model.backbone.tokenizer
    examples = tiny_task.split("test")
    theirs = [text_scores(family, hf, tokenizer, e.text, original) for e in examples]
    ours = model.scores(prompt, examples)
    torch.testing.assert_close(torch.stack(theirs), ours, rtol=1e-6, atol=1e-5)
    # texts of random words are compared, whose labels lie tens of nats down: rounding grows with it
    assert told.difference <= 5e-5 and len(told.tokens) == LENGTH
    # and without the prompt the scores would be others
    bare = [text_scores(family, original[0], original[1], e.text, original) for e in examples]
    assert (torch.stack(bare) - ours).abs().max() > 1e-2


def test_new_rows_take_no_probability(exported, tiny_task):
    family, _, _, folder, told = exported
    if family in (*ROOMY, "bert-encoder"):  # no new output row, or no output at all
        assert told.masked == 0
        return
    hf, tokenizer = plain.load(family, folder), transformers.AutoTokenizer.from_pretrained(folder)
    new = tokenizer.convert_tokens_to_ids(list(told.tokens))
    assert told.masked == LENGTH and new == list(range(new[0], new[0] + LENGTH))
    for example in tiny_task.split("test"):
        ids = tokenizer(f"{example.text} It was", return_tensors="pt")["input_ids"]
        shares = hf(ids).logits[0, -1].softmax(-1)
        assert shares[new].sum() < 1e-12 and shares.sum() == pytest.approx(1)


def test_the_folder_opens_in_a_plain_pipeline(exported, tiny_task):
    family, model, _, folder, _ = exported
    text = tiny_task.split("test")[0].text
    with quiet_transformers():
        if family in ("bert", "roberta"):
            filler = transformers.pipeline("fill-mask", model=str(folder), device="cpu")
            mask = filler.tokenizer.mask_token
            best = filler(f"{text} It was{mask}.", top_k=3)
            assert all("<soft" not in answer["token_str"] for answer in best)
        elif family in ("gpt2", "llama"):
            writer = transformers.pipeline("text-generation", model=str(folder), device="cpu")
            (answer,) = writer(f"{text} It was", max_new_tokens=3, do_sample=False)
            assert answer["generated_text"].startswith(f"{text} It was")
            assert "<soft" not in answer["generated_text"]
        elif family == "bert-encoder":
            reader = transformers.pipeline("feature-extraction", model=str(folder), device="cpu")
            (states,) = reader(text)
            assert len(states) == LENGTH + len(model.backbone.tokenizer(text)["input_ids"])
        else:
            hf = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            written = hf.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=3)
            assert "<soft" not in tokenizer.decode(written[0])
    about = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{LENGTH} virtual tokens" in about and "terrible" in about


def test_bos_in_front_of_the_prompt(source, tiny_task, tmp_path):
    backbone = load_backbone(str(source("llama")), device="cpu", dtype=torch.float32)
    model, prompt = prompted(backbone, "llama", bos="first"), random_prompt(backbone)
    export_as_tokens(tmp_path / "out", prompt, model)
    hf = plain.load("llama", tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    example = tiny_task.split("test")[0]
    begins = tokenizer.convert_ids_to_tokens(tokenizer(example.text)["input_ids"])[:2]
    assert begins == ["<s>", "<soft-0>"]
    theirs = text_scores("llama", hf, tokenizer, example.text)
    torch.testing.assert_close(theirs, model.scores(prompt, [example])[0], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_names_in_the_text_leave_the_tokenizer_as_it_was(source, tiny_task, tmp_path, family):
    """For programs that know the model's own tokenizer and no other."""
    backbone = load_backbone(str(source(family)), device="cpu", dtype=torch.float32)
    bos = "text" if family == "t5" else "first"  # T5 has none
    model, prompt = prompted(backbone, family, bos=bos), random_prompt(backbone)
    line = export_as_tokens(tmp_path / "out", prompt, model, names_in_text=True).line
    hf, tokenizer = plain.load(family, tmp_path / "out"), tokenizer_of(tmp_path / "out")
    original = plain.load(family, source(family)), tokenizer_of(source(family))
    example = tiny_task.split("test")[0]
    assert tokenizer(example.text)["input_ids"] == original[1](example.text)["input_ids"]
    front, _ = line.split("{text}")
    assert front.endswith("".join(f"<soft-{i}>" for i in range(LENGTH)))
    assert front in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    theirs = text_scores(family, hf, tokenizer, front + example.text, original)
    torch.testing.assert_close(theirs, model.scores(prompt, [example])[0], rtol=1e-6, atol=1e-5)


def test_names_in_the_text_cannot_stand_before_what_the_tokenizer_puts_first(source, tmp_path):
    backbone = load_backbone(str(source("bert")), device="cpu", dtype=torch.float32)
    model = prompted(backbone, "bert")  # the virtual tokens in front of [CLS]
    with pytest.raises(LabError, match=r"stands in front of \[CLS\].*without --names-in-text"):
        export_as_tokens(tmp_path / "out", random_prompt(backbone), model, names_in_text=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ROOMY)
def test_tied_or_not_rows_that_no_token_names_keep_their_scores(
    source, tiny_task, tmp_path, family, tied
):
    """Padded vocabularies: such rows take probability, before and after."""
    folder = source(family, LENGTH, tied)
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    model, prompt = prompted(backbone, family), random_prompt(backbone)
    assert export_as_tokens(tmp_path / "out", prompt, model).masked == 0
    opened, tokenizer = plain.load(family, tmp_path / "out"), tokenizer_of(tmp_path / "out")
    examples = tiny_task.split("test")[:4]
    theirs = [text_scores(family, opened, tokenizer, e.text) for e in examples]
    ours = model.scores(prompt, examples)
    torch.testing.assert_close(torch.stack(theirs), ours, rtol=1e-6, atol=1e-5)


def test_a_masked_head_with_a_bias_of_its_own(tiny_folder, tiny_task, tmp_path):
    """Untied, as the masked model that is made here: its head keeps its bias twice."""
    hf, tokenizer = plain.load("bert", tiny_folder("bert")), tokenizer_of(tiny_folder("bert"))
    hf.config.tie_word_embeddings = False
    torch.manual_seed(0)
    with quiet_transformers():
        apart = type(hf)(hf.config)
        apart.load_state_dict(hf.state_dict())
        torch.nn.init.normal_(apart.cls.predictions.decoder.weight, std=0.3)
        apart.save_pretrained(tmp_path / "apart")
        tokenizer.save_pretrained(tmp_path / "apart")
    backbone = load_backbone(str(tmp_path / "apart"), device="cpu", dtype=torch.float32)
    model, prompt = prompted(backbone, "bert"), random_prompt(backbone)
    assert export_as_tokens(tmp_path / "out", prompt, model).masked == LENGTH
    opened, tokenizer = plain.load("bert", tmp_path / "out"), tokenizer_of(tmp_path / "out")
    examples = tiny_task.split("test")[:3]
    theirs = [text_scores("bert", opened, tokenizer, e.text) for e in examples]
    ours = model.scores(prompt, examples)
    torch.testing.assert_close(torch.stack(theirs), ours, rtol=1e-6, atol=1e-5)


def test_smollm2_as_a_plain_folder(tmp_path):
    if not assets.is_ready(assets.ASSETS["smollm2"]):
        pytest.skip("smollm2 is not in the cache; run `labkit assets fetch`")
    backbone = load_backbone("smollm2", device="cpu", dtype=torch.float32)
    model = PromptedModel(backbone, "{soft}{text} It was {mask}", Verbalizer({w: w for w in WORDS}))
    prompt = SoftPrompt.from_vocab(backbone, length=20)
    folder = tmp_path / "out"
    told = export_as_tokens(folder, prompt, model)
    assert told.difference <= 1e-4 and told.masked == 20
    hf = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = ["A gripping, funny film.", "Nothing here works: not the jokes, not the music."]
    examples = [Example(str(i), {"text": text}, 0) for i, text in enumerate(texts)]
    with torch.no_grad():
        theirs = torch.stack([text_scores("llama", hf, tokenizer, text) for text in texts])
        new = tokenizer.convert_tokens_to_ids(list(told.tokens))
        ids = tokenizer("The capital of France is Paris, and of Spain", return_tensors="pt")
        everywhere = hf(**ids).logits[0, 20:].softmax(-1)  # at places that were not fitted
    torch.testing.assert_close(theirs, model.scores(prompt, examples), rtol=1e-6, atol=1e-5)
    assert everywhere[:, new].sum(-1).max() < 1e-6
    shutil.rmtree(folder)


# ---- the command, and what is refused ----


def test_export_by_command(tiny_backbone, tiny_folder, tmp_path, capsys):
    backbone = tiny_backbone("gpt2")
    model, prompt = prompted(backbone, "gpt2"), random_prompt(backbone)
    save_prompt(tmp_path / "prompt", prompt, model)
    line = ["export", str(tmp_path / "prompt"), "--as-tokens", str(tmp_path / "out"), "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*line, "--backbone", str(tiny_folder("gpt2"))])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert told["difference"] <= 5e-5 and len(told["tokens"]) == told["masked"] == LENGTH
    assert told["template"] == "{text} It was {mask}"
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("a film")["input_ids"][:LENGTH] == tokenizer.convert_tokens_to_ids(
        told["tokens"]
    )
    with pytest.raises(SystemExit):
        cli.main([*line, "--backbone", str(tiny_folder("gpt2")), "--names-in-text"])
    named = json.loads(capsys.readouterr().out)
    assert named["template"] == "".join(named["tokens"]) + "{text} It was {mask}"


def contents(folder) -> dict:
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture
def places(tiny_backbone, tiny_folder, tmp_path, monkeypatch):
    """Folders of a prompt and its model, of somebody's work and of another model, and a file; the
    model must not be loaded."""
    backbone = tiny_backbone("gpt2")
    save_prompt(tmp_path / "reads" / "prompt", random_prompt(backbone), prompted(backbone, "gpt2"))
    shutil.copytree(tiny_folder("gpt2"), tmp_path / "reads" / "model")
    shutil.copytree(tiny_folder("bert"), tmp_path / "bert")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(loading, "load_backbone", lambda *_, **__: pytest.fail("loaded"))
    return tmp_path


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("mine", "holds other files .*thesis.txt.*another folder"),
        ("bert", "holds other files .*config.json, model.safetensors, tokenizer.json"),
        ("mine/thesis.txt", "is a file"),
        ("reads/model", "the backbone's own folder"),
        ("reads/model/out", "the backbone's own folder"),
        ("reads/prompt", "the prompt's own folder"),
        ("reads/prompt/out", "the prompt's own folder"),
        ("reads", "own folder .*around it"),
    ],
)
def test_what_stands_at_the_place_is_not_lost(places, capsys, out, says):
    before = contents(places)
    where = [str(places / "reads" / name) for name in ("prompt", "model")]
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", where[0], "--backbone", where[1], "--as-tokens", str(places / out)])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and re.search(says, told) and str(places / out) in told
    assert contents(places) == before


def test_a_folder_called_as_a_default_model_is_no_backbones(places, monkeypatch, capsys):
    """The name means the model in the cache; so an export may be called after it, and again."""
    monkeypatch.chdir(places)
    shutil.copytree("mine", "smollm2")
    line = ["export", "reads/prompt", "--backbone", "smollm2", "--as-tokens", "smollm2"]
    with pytest.raises(SystemExit):
        cli.main(line)
    assert "holds other files" in capsys.readouterr().err


@pytest.mark.parametrize("backbone", ["minilm", "someone/on-the-hub", "."])
def test_the_model_of_a_prompt_comes_in_the_precision_asked_for(monkeypatch, backbone):
    asked = {}
    monkeypatch.setattr(files, "load_backbone", lambda name, **more: asked.update(more))
    files.PromptCard(backbone, "1a2b3c", "{soft}{text}", {}).load_backbone(torch.float32)
    assert asked["dtype"] == torch.float32


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"template": "{text}{soft} It was {mask}"}, "leading block"),
        ({"template": "{soft:2}{text}{soft:4} It was {mask}"}, "leading block"),
        ({"positions": "set"}, "as a set"),
        ({"positions": False}, "without positions"),
    ],
)
def test_layouts_that_plain_transformers_does_not_have(tiny_backbone, tmp_path, changes, says):
    backbone = tiny_backbone("llama")
    model = prompted(backbone, "llama").with_changes(**changes)
    with pytest.raises(LabError, match=says):
        export_as_tokens(tmp_path / "out", random_prompt(backbone), model)
    assert not (tmp_path / "out").exists()


def test_weights_that_were_rounded_are_refused(tiny_folder, tmp_path):
    backbone = load_backbone(str(tiny_folder("llama")), device="cpu", dtype=torch.bfloat16)
    with pytest.raises(LabError, match=r"dtype=torch\.float32"):
        export_as_tokens(tmp_path / "out", random_prompt(backbone), prompted(backbone, "llama"))


def test_an_export_that_scores_otherwise_is_not_kept(tiny_backbone, tmp_path, monkeypatch):
    backbone = tiny_backbone("gpt2")
    model, prompt = prompted(backbone, "gpt2"), random_prompt(backbone)
    export_as_tokens(tmp_path / "out", prompt, model)
    before = contents(tmp_path)
    monkeypatch.setattr(export, "CLOSE", -1.0)
    with pytest.raises(LabError, match="scores labels otherwise"):
        export_as_tokens(tmp_path / "out", prompt, model)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("share", [1e-2, 2e-7])
def test_output_rows_that_take_probability_are_refused(tiny_backbone, tmp_path, monkeypatch, share):
    """Also where the scores differ by no more than rounding may."""

    def taking(states, weight):
        """Of the last state that is fitted, ``share`` of what the old rows have."""
        (state, total) = states[-1], (states[-1] @ weight.T).logsumexp(-1)
        # along the texts' mean, so that it is as much for states that are not fitted
        mean = states.mean(0)
        return (mean * (total + math.log(share / LENGTH)) / (state @ mean))[None]

    monkeypatch.setattr(export, "_away_from", taking)
    backbone = tiny_backbone("gpt2")
    with pytest.raises(LabError, match=r"would take probability from others \(up to .* of it\)"):
        export_as_tokens(tmp_path / "out", random_prompt(backbone), prompted(backbone, "gpt2"))
    assert not (tmp_path / "out").exists()


def test_an_earlier_export_is_replaced_as_it_was_written_only(tiny_backbone, tmp_path):
    backbone, out = tiny_backbone("bert-encoder"), tmp_path / "out"
    model = prompted(backbone, "bert-encoder")
    export_as_tokens(out, random_prompt(backbone, 3), model)
    first = contents(out)
    export_as_tokens(out, random_prompt(backbone, 4), model)
    assert contents(out).keys() == first.keys() and contents(out) != first

    def refused(name):
        before = contents(out)
        with pytest.raises(LabError, match=rf"holds other files .*\({name}\)"):
            export_as_tokens(out, random_prompt(backbone), model)
        assert contents(out) == before

    (out / "MODEL.gguf").write_bytes(b"hours of work")
    refused("MODEL.gguf")
    (out / "MODEL.gguf").unlink()
    (out / "runs").mkdir()
    refused("runs")
    (out / "runs").rmdir()
    about = (out / "README.md").read_text(encoding="utf-8")
    (out / "README.md").write_text(about + "What I found: …", encoding="utf-8")
    refused("README.md")
    (out / "README.md").unlink()  # what is gone can't be lost
    export_as_tokens(out, random_prompt(backbone), model)


@pytest.mark.parametrize("card", ["{", "[]", '{"exported_files": 3}', '{"backbone": "minilm"}'])
def test_a_card_that_says_something_else_is_no_exports(tiny_backbone, tmp_path, card):
    (tmp_path / "labkit.json").write_text(card)
    backbone = tiny_backbone("bert")
    with pytest.raises(LabError, match=r"holds other files .*labkit\.json"):
        export_as_tokens(tmp_path, random_prompt(backbone), prompted(backbone, "bert"))
    assert (tmp_path / "labkit.json").read_text() == card


def test_new_tokens_overwrite_no_words(tiny_folder, tiny_task, tmp_path):
    """Of a vocabulary with gaps, where ids counted from its entries are those of its last words."""
    gaps = range(6, 6 + LENGTH)
    folder = tiny.with_gaps(tiny_folder("bert"), tmp_path / "gaps", gaps)
    backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    model, prompt = prompted(backbone, "bert"), random_prompt(backbone)
    with pytest.raises(LabError, match=r"has gaps, .*fill the gaps in its tokenizer\.json"):
        export_as_tokens(tmp_path / "out", prompt, model)
    assert not (tmp_path / "out").exists()
    said = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    said["model"]["vocab"] |= {f"[unused{number}]": number for number in gaps}
    (folder / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
    filled = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    told = export_as_tokens(tmp_path / "out", prompt, prompted(filled, "bert"))
    new = tokenizer_of(tmp_path / "out").convert_tokens_to_ids(list(told.tokens))
    assert min(new) == backbone.rows  # behind every row that it had
    hf, examples = plain.load("bert", tmp_path / "out"), tiny_task.split("test")
    theirs = [text_scores("bert", hf, tokenizer_of(tmp_path / "out"), e.text) for e in examples]
    ours = model.scores(prompt, examples)
    torch.testing.assert_close(torch.stack(theirs), ours, rtol=1e-6, atol=1e-5)


def test_states_all_around_the_origin_have_no_side_to_turn_away_from():
    generator = torch.Generator().manual_seed(0)
    states, weight = torch.randn(500, 4, generator=generator), torch.randn(9, 4)
    assert export._away_from(states, weight) is None
    aside = states + 6 * states.new_tensor([1.0, 0, 0, 0])
    row = export._away_from(aside, weight)
    margin = (aside @ weight.T).logsumexp(-1) - (aside @ row.T)[:, 0]
    assert margin.min() >= export.MARGIN


def test_a_template_of_two_texts_is_exported_too(source, tmp_path):
    backbone = load_backbone(str(source("gpt2")), device="cpu", dtype=torch.float32)
    words = Verbalizer({word: word for word in WORDS})
    line = "{soft}{premise} so {hypothesis}? It was {mask}"
    model, prompt = PromptedModel(backbone, line, words), random_prompt(backbone)
    export_as_tokens(tmp_path / "out", prompt, model)
    hf, tokenizer = plain.load("gpt2", tmp_path / "out"), tokenizer_of(tmp_path / "out")
    pair = Example("1", {"premise": "a film", "hypothesis": "the music"}, 0)
    ours = model.scores(prompt, [pair])[0]
    own = tokenizer_of(source("gpt2"))
    theirs = text_scores("gpt2", hf, tokenizer, "a film so the music?", (None, own))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
