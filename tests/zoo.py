"""Tiny random models of many families, to be scored beside Hugging Face's own forward pass.

    python tests/zoo.py gpt2 bart        # writes them to the temporary folder, and says where

A family is a class of the library and the settings in which it differs from the others; sizes,
special tokens and weights are filled in here. :data:`FAMILIES` lists what is common on the Hub and
what is odd: heads that call another module than the rest, words scaled inside or outside their
embedding module, caches that keep windows, states or nothing, convolutions, position tables with an
offset, relative biases of several kinds, tokenizers without spaces, offsets or special tokens.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from tokenizers.processors import TemplateProcessing

import tiny

WIDTH, LAYERS, HEADS, PLACES = 32, 2, 4, 64

_ROBERTA = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
_MASKED = {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
_ALBERT = {"pad_token": "[PAD]", "unk_token": "<unk>", "cls_token": "[CLS]"}
_FIRST = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def _unlimited(make: Callable[[], transformers.PreTrainedTokenizerFast]) -> Callable:
    def build() -> transformers.PreTrainedTokenizerFast:
        tokenizer = make()
        tokenizer.model_max_length = 10**30  # as the library reads a tokenizer that names no limit
        return tokenizer

    return build


def _opt() -> transformers.PreTrainedTokenizerFast:
    names = {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "</s>"}
    tokenizer = tiny.byte_pairs(["<s>", "<pad>", "</s>", "<unk>"], **names)
    tiny.wrap(tokenizer.backend_tokenizer, "</s>", None)
    return tokenizer


def _language_code() -> transformers.PreTrainedTokenizerFast:
    """As mBART writes a text: the language stands behind it."""
    tokenizer = tiny.unigram([*_FIRST, "en_XX"], None, "</s>", **_ROBERTA, **_MASKED)
    ids = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("</s>", "en_XX")]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A </s> en_XX", special_tokens=ids
    )
    return tokenizer


TOKENIZERS: Mapping[str, Callable[[], transformers.PreTrainedTokenizerBase]] = {
    "words": tiny.word_piece,
    "bytes": tiny.TOKENIZERS["gpt2"],
    "bytes with bos": tiny.TOKENIZERS["llama"],
    "opt": _opt,
    "roberta": lambda: tiny.byte_pairs(_FIRST, **_ROBERTA, **_MASKED),
    "unigram": lambda: tiny.unigram(_FIRST, "<s>", "</s>", **_ROBERTA, **_MASKED),
    "albert": lambda: tiny.unigram(
        ["[PAD]", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
        "[CLS]",
        "[SEP]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        **_ALBERT,
    ),
    "t5": tiny.TOKENIZERS["t5"],
    "language code": _language_code,
    "utf-8": transformers.ByT5Tokenizer,
}
TOKENIZERS = TOKENIZERS | {
    f"{name}, no limit": _unlimited(TOKENIZERS[name]) for name in ("roberta", "unigram")
}

# ---- sizes, under the names that the families give them ----

_COMMON = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 64,
    "max_position_embeddings": PLACES,
}
_BARE = {name: size for name, size in _COMMON.items() if name != "max_position_embeddings"}
_GPT = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": PLACES}
_XLM = {"emb_dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "max_position_embeddings": PLACES}
_XLM |= {"pad_index": 1, "bos_index": 0, "eos_index": 2, "unk_index": 3, "mask_index": 4}
_XLM |= {"n_langs": 1}
_DISTIL = {"dim": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 64}
_DISTIL |= {"max_position_embeddings": PLACES}
_OFFSET = _COMMON | {"max_position_embeddings": PLACES + 2, "type_vocab_size": 1}
_GROUPED = _COMMON | {"num_key_value_heads": 2}
_SIZED = _GROUPED | {"head_dim": 8}
_T5 = {"d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": LAYERS, "num_heads": HEADS}
_BART = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": PLACES,
}
_LATENT = {"qk_nope_head_dim": 8, "v_head_dim": 8, "q_lora_rank": 16, "kv_lora_rank": 16}
_DISENTANGLED = {"relative_attention": True, "pos_att_type": "c2p|p2c"}
_WINDOW = {"sliding_window": 16}
_LOCAL = {"global_attn_every_n_layers": 2}


@dataclass(frozen=True)
class Family:
    """How to build one.

    Attributes:
        readout: what its users would expect of it.
        kind: the library's class; tokens: a key of ``TOKENIZERS``.
        settings: of its configuration, beside vocabulary and special tokens.
        std: of its random weights; large enough for the texts to matter.
    """

    readout: str
    kind: str
    tokens: str
    settings: Mapping[str, object] = field(default_factory=dict)
    std: float = 0.2

    def build(self, folder: Path) -> Path:
        """Write model and tokenizer to ``folder``."""
        tokenizer = TOKENIZERS[self.tokens]()
        cls = getattr(transformers, self.kind)
        model = cls(self._config(cls, tokenizer))
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                draw = torch.randn(parameter.shape, generator=generator)
                if parameter.ndim >= 2:
                    parameter.copy_(draw * self.std)
                elif name.endswith("bias"):
                    parameter.copy_(draw * 0.1)
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    def _config(self, cls: type, tokenizer) -> transformers.PretrainedConfig:
        special = {
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": _first(tokenizer.bos_token_id, tokenizer.cls_token_id),
            "eos_token_id": _first(tokenizer.eos_token_id, tokenizer.sep_token_id),
        }
        if self.readout == "seq2seq":
            special["decoder_start_token_id"] = _first(
                tokenizer.pad_token_id if "T5" in self.kind else None, special["eos_token_id"]
            )
        size = 384 if self.tokens == "utf-8" else len(tokenizer)
        known = {"vocab_size": size, **special}
        given = known | {
            name: known | value if name in ("text_config", "encoder", "decoder") else value
            for name, value in self.settings.items()
        }
        if self.kind == "EncoderDecoderModel":
            return _two_berts(given)
        return cls.config_class(**given)


def _first(*options: int | None) -> int | None:
    return next((option for option in options if option is not None), None)


def _two_berts(given: dict) -> transformers.EncoderDecoderConfig:
    reader = transformers.BertConfig(**given)
    writer = transformers.BertConfig(**given, is_decoder=True, add_cross_attention=True)
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(reader, writer)
    config.decoder_start_token_id = given["bos_token_id"]
    config.pad_token_id, config.eos_token_id = given["pad_token_id"], given["eos_token_id"]
    return config


def _causal(kind: str, settings: Mapping, tokens: str = "bytes", **more: object) -> Family:
    return Family("causal", kind, tokens, {**settings, **more})


def _mlm(kind: str, settings: Mapping, tokens: str = "words", **more: object) -> Family:
    return Family("mlm", kind, tokens, {**settings, **more})


def _seq2seq(kind: str, settings: Mapping, tokens: str = "t5", **more: object) -> Family:
    return Family("seq2seq", kind, tokens, {**settings, **more}, 0.1 if "d_kv" in settings else 0.2)


def _encoder(kind: str, settings: Mapping, tokens: str = "words", **more: object) -> Family:
    return Family("encoder", kind, tokens, {**settings, **more})


_SPECIAL_0 = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
_BERT_DECODER = _SPECIAL_0 | {"cls_token_id": 0, "sep_token_id": 0}
_MODERN = _COMMON | _LOCAL | {"local_attention": 8, "cls_token_id": 0, "sep_token_id": 2}
_SHORT = {"max_position_embeddings": 48}
_STATES = {"mamba_d_ssm": 64, "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8}
_STATES |= {"mamba_n_groups": 1, "mamba_chunk_size": 16}
_TINY_GEMMA = {**_SIZED, **_WINDOW, "pad_token_id": 1}

FAMILIES: dict[str, Family] = {
    # causal
    "gpt2": _causal("GPT2LMHeadModel", _GPT),
    "openai-gpt": _causal("OpenAIGPTLMHeadModel", _GPT),
    "gpt_neo": _causal(
        "GPTNeoForCausalLM",
        _COMMON,
        num_layers=LAYERS,
        num_heads=HEADS,
        attention_types=[[["global", "local"], 1]],
        window_size=8,
    ),
    "gptj": _causal("GPTJForCausalLM", _GPT, rotary_dim=4),
    "gpt_neox": _causal("GPTNeoXForCausalLM", _COMMON),
    "gpt_bigcode": _causal("GPTBigCodeForCausalLM", _GPT),
    "codegen": _causal("CodeGenForCausalLM", _GPT, rotary_dim=4),
    "opt": _causal("OPTForCausalLM", _COMMON, "opt", word_embed_proj_dim=WIDTH, ffn_dim=64),
    "opt, projected": _causal(
        "OPTForCausalLM",
        _COMMON,
        "opt",
        word_embed_proj_dim=16,
        ffn_dim=64,
        do_layer_norm_before=False,
    ),
    "bart, decoder": _causal("BartForCausalLM", _BART, "roberta", scale_embedding=True),
    "marian, decoder": _causal("MarianForCausalLM", _BART, "t5", scale_embedding=True),
    "pegasus, decoder": _causal("PegasusForCausalLM", _BART, "t5", scale_embedding=True),
    "bloom": _causal("BloomForCausalLM", {"hidden_size": WIDTH, "n_layer": LAYERS, "n_head": 4}),
    "mpt": _causal(
        "MptForCausalLM", {"d_model": WIDTH, "n_layers": LAYERS, "n_heads": 4, "max_seq_len": 64}
    ),
    "falcon": _causal("FalconForCausalLM", _COMMON),
    "falcon, alibi": _causal(
        "FalconForCausalLM",
        _COMMON,
        alibi=True,
        new_decoder_architecture=False,
        parallel_attn=False,
        bias=True,
    ),
    "llama": _causal("LlamaForCausalLM", _GROUPED, "bytes with bos"),
    "llama, dynamic rotary": _causal(
        "LlamaForCausalLM",
        _GROUPED | _SHORT,
        "bytes with bos",
        rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
    ),
    "llama4": _causal(
        "Llama4ForCausalLM",
        _SIZED,
        intermediate_size_mlp=64,
        attention_chunk_size=16,
        no_rope_layers=[1, 0],
        num_local_experts=2,
        pad_token_id=0,
    ),
    "mistral": _causal("MistralForCausalLM", _SIZED | _WINDOW, "bytes with bos"),
    "qwen2": _causal("Qwen2ForCausalLM", _GROUPED),
    "qwen2, window": _causal(
        "Qwen2ForCausalLM", _GROUPED | _WINDOW, use_sliding_window=True, max_window_layers=1
    ),
    "qwen3": _causal("Qwen3ForCausalLM", _SIZED),
    "qwen3_next": _causal(
        "Qwen3NextForCausalLM",
        _SIZED,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        num_experts=2,
        num_experts_per_tok=1,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        layer_types=["linear_attention", "full_attention"],
    ),
    "gemma": _causal("GemmaForCausalLM", _SIZED, "bytes with bos"),
    "gemma2": _causal(
        "Gemma2ForCausalLM",
        _SIZED | _WINDOW,
        "bytes with bos",
        query_pre_attn_scalar=8,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=5.0,
    ),
    "gemma3": _causal(
        "Gemma3ForCausalLM",
        _SIZED | _WINDOW,
        "bytes with bos",
        query_pre_attn_scalar=8,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "gemma3, with images": _causal(
        "Gemma3ForConditionalGeneration",
        {"text_config": {**_SIZED, **_WINDOW, "query_pre_attn_scalar": 8}},
        "bytes with bos",
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
    ),
    "phi": _causal("PhiForCausalLM", _COMMON),
    "phi3": _causal("Phi3ForCausalLM", _GROUPED, "bytes with bos", pad_token_id=0),
    "phi3, long rotary": _causal(
        "Phi3ForCausalLM",
        _GROUPED,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 1e4,
            "short_factor": [1.0] * 4,
            "long_factor": [4.0] * 4,
        },
        original_max_position_embeddings=48,
        pad_token_id=0,
    ),
    "stablelm": _causal("StableLmForCausalLM", _GROUPED),
    "olmo2": _causal("Olmo2ForCausalLM", _COMMON),
    "cohere": _causal("CohereForCausalLM", _COMMON),
    "cohere2": _causal(
        "Cohere2ForCausalLM",
        _SIZED | _WINDOW,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "glm4": _causal("Glm4ForCausalLM", _SIZED, pad_token_id=0),
    "exaone4": _causal(
        "Exaone4ForCausalLM",
        _SIZED | _WINDOW,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "granite": _causal(
        "GraniteForCausalLM",
        _COMMON,
        embedding_multiplier=12.0,
        logits_scaling=2.0,
        residual_multiplier=0.22,
    ),
    "minicpm3": _causal(
        "MiniCPM3ForCausalLM", _COMMON | _LATENT, "bytes with bos", scale_emb=3, qk_rope_head_dim=8
    ),
    "smollm3": _causal("SmolLM3ForCausalLM", _GROUPED, pad_token_id=0),
    "mixtral": _causal("MixtralForCausalLM", _GROUPED, "bytes with bos", num_local_experts=2),
    "gpt_oss": _causal(
        "GptOssForCausalLM",
        _SIZED | _WINDOW,
        num_local_experts=2,
        num_experts_per_tok=1,
        pad_token_id=0,
    ),
    "deepseek_v3": _causal(
        "DeepseekV3ForCausalLM",
        _COMMON | _LATENT,
        "bytes with bos",
        qk_rope_head_dim=4,
        moe_intermediate_size=16,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
    ),
    "xglm": _causal(
        "XGLMForCausalLM",
        {"d_model": WIDTH, "num_layers": LAYERS, "attention_heads": 4, "ffn_dim": 64},
        "unigram",
        scale_embedding=True,
        max_position_embeddings=PLACES,
    ),
    "biogpt": _causal("BioGptForCausalLM", _COMMON, "roberta"),
    "modernbert-decoder": _causal(
        "ModernBertDecoderForCausalLM", _COMMON | _LOCAL | _BERT_DECODER, local_attention=16
    ),
    "ctrl": _causal("CTRLLMHeadModel", _GPT, dff=64),
    "bert, decoder": _causal("BertLMHeadModel", _COMMON, "words", is_decoder=True),
    "bert, not a decoder": _causal("BertLMHeadModel", _COMMON, "words"),
    "roberta, decoder": _causal("RobertaForCausalLM", _OFFSET, "roberta", is_decoder=True),
    "data2vec-text, decoder": _causal(
        "Data2VecTextForCausalLM", _OFFSET, "roberta", is_decoder=True
    ),
    "mamba": _causal(
        "MambaForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 8} | _SPECIAL_0,
    ),
    "mamba2": _causal(
        "Mamba2ForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 8} | _SPECIAL_0,
        num_heads=8,
        head_dim=8,
        n_groups=1,
        chunk_size=16,
    ),
    "rwkv": _causal(
        "RwkvForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "attention_hidden_size": WIDTH},
        context_length=PLACES,
        bos_token_id=0,
        eos_token_id=0,
    ),
    "jamba": _causal(
        "JambaForCausalLM",
        _BARE | {"num_key_value_heads": 2},
        num_experts=1,
        num_experts_per_tok=1,
        mamba_d_state=8,
        mamba_dt_rank=4,
        attn_layer_period=2,
        attn_layer_offset=1,
        use_mamba_kernels=False,
        pad_token_id=0,
    ),
    "recurrent_gemma": _causal(
        "RecurrentGemmaForCausalLM",
        {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": HEADS},
        "bytes with bos",
        num_key_value_heads=1,
        intermediate_size=128,
        lru_width=WIDTH,
        attention_window_size=16,
        block_types=["recurrent", "recurrent", "attention"],
    ),
    "falcon_h1": _causal("FalconH1ForCausalLM", _SIZED | _STATES),
    "lfm2": _causal("Lfm2ForCausalLM", _GROUPED, layer_types=["conv", "full_attention"]),
    "xlnet": _causal(
        "XLNetLMHeadModel",
        {"d_model": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "d_inner": 64},
        "albert",
    ),
    # masked
    "bert": _mlm("BertForMaskedLM", _COMMON),
    "roberta": _mlm("RobertaForMaskedLM", _OFFSET, "roberta"),
    "xlm-roberta": _mlm("XLMRobertaForMaskedLM", _OFFSET, "unigram"),
    "xlm-roberta-xl": _mlm("XLMRobertaXLForMaskedLM", _OFFSET, "unigram, no limit"),
    "roberta, prelayernorm": _mlm("RobertaPreLayerNormForMaskedLM", _OFFSET, "roberta, no limit"),
    "camembert": _mlm("CamembertForMaskedLM", _OFFSET, "unigram"),
    "data2vec-text": _mlm("Data2VecTextForMaskedLM", _OFFSET, "roberta, no limit"),
    "distilbert": _mlm("DistilBertForMaskedLM", _DISTIL),
    "albert": _mlm("AlbertForMaskedLM", _COMMON, "albert", embedding_size=16),
    "electra": _mlm("ElectraForMaskedLM", _COMMON, embedding_size=16),
    "mobilebert": _mlm(
        "MobileBertForMaskedLM",
        _COMMON,
        embedding_size=16,
        intra_bottleneck_size=16,
        true_hidden_size=16,
        num_feedforward_networks=1,
    ),
    "deberta": _mlm(
        "DebertaForMaskedLM", _COMMON | _DISENTANGLED, "roberta", position_biased_input=False
    ),
    "deberta-v2": _mlm(
        "DebertaV2ForMaskedLM",
        _COMMON | _DISENTANGLED,
        "albert",
        position_biased_input=False,
        position_buckets=16,
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        type_vocab_size=0,
    ),
    "deberta-v2, biased": _mlm(
        "DebertaV2ForMaskedLM",
        _COMMON | _DISENTANGLED,
        "albert",
        position_biased_input=True,
        position_buckets=16,
        share_att_key=True,
    ),
    "modernbert": _mlm("ModernBertForMaskedLM", _MODERN, "roberta"),
    "mpnet": _mlm("MPNetForMaskedLM", _OFFSET, "roberta, no limit"),
    "longformer": _mlm(
        "LongformerForMaskedLM",
        _OFFSET | {"max_position_embeddings": 130},
        "roberta, no limit",
        attention_window=[8, 8],
    ),
    "big_bird": _mlm("BigBirdForMaskedLM", _COMMON, "albert", attention_type="original_full"),
    "big_bird, sparse": _mlm(
        "BigBirdForMaskedLM",
        _COMMON,
        "albert",
        attention_type="block_sparse",
        block_size=8,
        num_random_blocks=1,
    ),
    "funnel": _mlm(
        "FunnelForMaskedLM",
        {"d_model": WIDTH, "n_head": HEADS, "d_head": 8, "d_inner": 64, "block_sizes": [1, 1]},
        num_decoder_layers=1,
    ),
    "funnel, not cut": _mlm(
        "FunnelForMaskedLM",
        {"d_model": WIDTH, "n_head": HEADS, "d_head": 8, "d_inner": 64, "block_sizes": [1, 1]},
        num_decoder_layers=1,
        truncate_seq=False,
    ),
    "ernie": _mlm("ErnieForMaskedLM", _COMMON),
    "rembert": _mlm(
        "RemBertForMaskedLM",
        _COMMON,
        "albert",
        input_embedding_size=16,
        output_embedding_size=24,
    ),
    "roformer": _mlm("RoFormerForMaskedLM", _COMMON, embedding_size=WIDTH),
    "convbert": _mlm("ConvBertForMaskedLM", _COMMON, embedding_size=16, head_ratio=2),
    "squeezebert": _mlm(
        "SqueezeBertForMaskedLM",
        _COMMON,
        embedding_size=WIDTH,
        **{f"{name}_groups": 1 for name in ("q", "k", "v", "post_attention", "output")},
        intermediate_groups=1,
    ),
    "fnet": _mlm("FNetForMaskedLM", _COMMON, "albert"),
    "xlm": _mlm("XLMWithLMHeadModel", _XLM, "roberta"),
    "flaubert": _mlm("FlaubertWithLMHeadModel", _XLM, "roberta"),
    "nomic_bert": _mlm("NomicBertForMaskedLM", _COMMON),
    "eurobert": _mlm("EuroBertForMaskedLM", _GROUPED, "roberta", mask_token_id=4),
    # encoder–decoder
    "t5": _seq2seq("T5ForConditionalGeneration", _T5),
    "t5, v1.1": _seq2seq(
        "T5ForConditionalGeneration",
        _T5,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
    ),
    "mt5": _seq2seq("MT5ForConditionalGeneration", _T5, feed_forward_proj="gated-gelu"),
    "umt5": _seq2seq("UMT5ForConditionalGeneration", _T5, feed_forward_proj="gated-gelu"),
    "byt5": _seq2seq("T5ForConditionalGeneration", _T5, "utf-8", feed_forward_proj="gated-gelu"),
    "longt5": _seq2seq("LongT5ForConditionalGeneration", _T5, local_radius=8),
    "longt5, global": _seq2seq(
        "LongT5ForConditionalGeneration",
        _T5,
        local_radius=8,
        global_block_size=4,
        encoder_attention_type="transient-global",
    ),
    "switch": _seq2seq(
        "SwitchTransformersForConditionalGeneration",
        _T5,
        num_experts=2,
        expert_capacity=64,
        num_sparse_encoder_layers=1,
        num_sparse_decoder_layers=1,
    ),
    "t5gemma": _seq2seq(
        "T5GemmaForConditionalGeneration",
        {"encoder": _TINY_GEMMA},
        "bytes with bos",
        decoder=_TINY_GEMMA,
        pad_token_id=1,
    ),
    "bart": _seq2seq("BartForConditionalGeneration", _BART, "roberta"),
    "bart, no head": _seq2seq("BartModel", _BART, "roberta"),
    "mbart": _seq2seq(
        "MBartForConditionalGeneration", _BART, "language code", scale_embedding=True
    ),
    "marian": _seq2seq("MarianMTModel", _BART, scale_embedding=True, decoder_start_token_id=0),
    "pegasus": _seq2seq(
        "PegasusForConditionalGeneration", _BART, scale_embedding=True, decoder_start_token_id=0
    ),
    "pegasus_x": _seq2seq(
        "PegasusXForConditionalGeneration",
        _BART,
        scale_embedding=True,
        block_size=8,
        num_global_tokens=4,
        decoder_start_token_id=0,
    ),
    "m2m_100": _seq2seq(
        "M2M100ForConditionalGeneration", _BART, "language code", scale_embedding=True
    ),
    "led": _seq2seq(
        "LEDForConditionalGeneration",
        {name: size for name, size in _BART.items() if name != "max_position_embeddings"},
        "roberta",
        max_encoder_position_embeddings=PLACES,
        max_decoder_position_embeddings=PLACES,
        attention_window=8,
    ),
    "blenderbot": _seq2seq(
        "BlenderbotForConditionalGeneration", _BART, "roberta", scale_embedding=True
    ),
    "two berts": _seq2seq("EncoderDecoderModel", _COMMON, "words"),
    # text encoders
    "bert, body": _encoder("BertModel", _COMMON),
    "roberta, body": _encoder("RobertaModel", _OFFSET, "roberta"),
    "distilbert, body": _encoder("DistilBertModel", _DISTIL),
    "albert, body": _encoder("AlbertModel", _COMMON, "albert", embedding_size=16),
    "mpnet, body": _encoder("MPNetModel", _OFFSET, "roberta"),
    "modernbert, body": _encoder("ModernBertModel", _MODERN, "roberta"),
    "deberta-v2, body": _encoder(
        "DebertaV2Model", _COMMON | _DISENTANGLED, "albert", position_biased_input=False
    ),
    "t5, encoder": Family("encoder", "T5EncoderModel", "t5", _T5, 0.1),
    "gpt2, body": _encoder("GPT2Model", _GPT, "bytes"),
}


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        print(FAMILIES[name].build(Path(tempfile.gettempdir()) / "labkit-zoo" / name))
