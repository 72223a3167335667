"""Tiny models with random weights, one per family, saved in Hugging Face's format.

They answer nonsense; they are for exact equality with Hugging Face's own forward pass only.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing

FAMILIES = ("bert", "roberta", "gpt2", "llama", "t5", "bert-encoder")

CORPUS = [
    "a gripping and very funny film with a great cast",
    "the plot is terrible, slow and dull from the first scene to the last",
    "It was great. It was terrible. It was good. It was bad.",
    "an honest, moving story; positive and negative reviews agree",
    "Review: the acting is wonderful. Sentiment: positive",
    "nothing here works, not the jokes and not the music",
] * 4

_SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def build(family: str, folder: Path) -> Path:
    """Write a tiny model of ``family`` with its tokenizer to ``folder``."""
    torch.manual_seed(0)
    tokenizer = TOKENIZERS[family]()
    model = _MODELS[family](tokenizer)
    # larger than by default, so that the texts matter; T5 doesn't scale its attention down
    std = 0.15 if family == "t5" else 0.3
    for name, parameter in model.named_parameters():
        is_scale = parameter.ndim == 1 and name.endswith("weight")  # of a normalisation
        torch.nn.init.normal_(parameter, mean=float(is_scale), std=std)
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def with_gaps(folder: Path, into: Path, ids: range) -> Path:
    """A copy of a tiny BERT whose vocabulary leaves out these ids, as one that was pruned does."""
    shutil.copytree(folder, into)
    said = json.loads((into / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = said["model"]["vocab"]
    said["model"]["vocab"] = {word: n for word, n in vocabulary.items() if n not in ids}
    (into / "tokenizer.json").write_text(json.dumps(said), encoding="utf-8")
    return into


def word_piece() -> transformers.PreTrainedTokenizerBase:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = _words([text.lower() for text in CORPUS])
    letters = sorted(set("".join(words)))
    entries = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {entry: index for index, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wrap(tokenizer, "[CLS]", "[SEP]")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=64,
    )


def byte_pairs(special: list[str], **names: str) -> transformers.PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    if "cls_token" in names:
        wrap(tokenizer, names["cls_token"], names["sep_token"])
    elif "bos_token" in names and names["bos_token"] == "<s>":
        wrap(tokenizer, "<s>", None)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **names
    )


_T5 = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
_SENTINELS = ["<extra_id_0>", "<extra_id_1>"]


def unigram(
    special: list[str], before: str | None, after: str | None, **names: str
) -> transformers.PreTrainedTokenizerFast:
    """A SentencePiece-like tokenizer of whole words; ``names`` as the library calls the special
    ones, of which ``before`` and ``after`` stand around every text."""
    words = _words(CORPUS)
    letters = sorted(set("".join(words)))
    entries = [
        *((entry, 0.0) for entry in special),
        *((f"▁{word}", -3.0 - rank / 10) for rank, word in enumerate(words)),
        *((letter, -20.0) for letter in ["▁", *letters]),
    ]
    tokenizer = Tokenizer(models.Unigram(entries, unk_id=special.index(names["unk_token"])))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(special)
    wrap(tokenizer, before, after)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **names
    )


def _words(texts: list[str]) -> list[str]:
    """Words and marks, the most frequent first.

    Vocabularies of whole words are made from them by hand, because the library's trainers for word
    pieces and unigrams give another vocabulary in every process.
    """
    counts = Counter(re.findall(r"\w+|[^\w\s]", " ".join(texts)))
    return [word for word, _ in counts.most_common()]


def wrap(tokenizer: Tokenizer, before: str | None, after: str | None) -> None:
    names = [name for name in (before, after) if name]
    pieces = [name for name in (before, "$A", after) if name]
    tokenizer.post_processor = TemplateProcessing(
        single=" ".join(pieces), special_tokens=[(n, tokenizer.token_to_id(n)) for n in names]
    )


_ROBERTA = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
}
TOKENIZERS = {
    "bert": word_piece,
    "bert-encoder": word_piece,
    "roberta": lambda: byte_pairs(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], **_ROBERTA),
    "gpt2": lambda: byte_pairs(
        ["<|endoftext|>"], bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    ),
    "llama": lambda: byte_pairs(["<s>", "</s>"], bos_token="<s>", eos_token="</s>"),
    "t5": lambda: unigram(["<pad>", "</s>", "<unk>", *_SENTINELS], None, "</s>", **_T5),
}


def _bert_config(tokenizer: transformers.PreTrainedTokenizerBase) -> transformers.BertConfig:
    return transformers.BertConfig(
        vocab_size=len(tokenizer), intermediate_size=64, max_position_embeddings=64, **_SIZE
    )


_MODELS = {
    "bert": lambda t: transformers.BertForMaskedLM(_bert_config(t)),
    "bert-encoder": lambda t: transformers.BertModel(_bert_config(t)),
    "roberta": lambda t: transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(
            vocab_size=len(t),
            intermediate_size=64,
            max_position_embeddings=66,
            pad_token_id=t.pad_token_id,
            bos_token_id=t.cls_token_id,
            eos_token_id=t.sep_token_id,
            **_SIZE,
        )
    ),
    "gpt2": lambda t: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=len(t), n_embd=32, n_layer=2, n_head=4, n_positions=64)
    ),
    "llama": lambda t: transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(t),
            intermediate_size=64,
            num_key_value_heads=2,
            max_position_embeddings=64,
            **_SIZE,
        )
    ),
    "t5": lambda t: transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            vocab_size=len(t),
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",  # T5 1.1, the one that Lester et al. 2021 tune
            decoder_start_token_id=t.pad_token_id,
            pad_token_id=t.pad_token_id,
            eos_token_id=t.eos_token_id,
        )
    ),
}
