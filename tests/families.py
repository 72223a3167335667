"""What labkit does with each family of ``zoo.py``, held against Hugging Face's own forward pass.

    python tests/families.py        # writes docs/models.md anew, in some minutes

A family is either equal to 1e-5 in everything that is asked of it, or refused in one line.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

from labkit import PromptedModel, SoftPrompt, evaluate, fit, load_backbone
from labkit.core.errors import LabError
from labkit.core.tasks import Task
from labkit.core.templates import Template, Verbalizer
from labkit.shuffle_probe import Shuffle, probe_order
from labkit.soft_prompt import load_for, save_prompt
from zoo import FAMILIES

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "models.md"
LINES = {
    "mlm": "{text} It was {mask}.",
    "causal": "{text} It was {mask}",
    "seq2seq": "{text}",
    "encoder": "{text}",
}
WORDS = ["terrible", "great", "marvellous"]  # of one piece and of several
ROWS = 20
"""Virtual tokens: more than the windows of the zoo's models."""

CLOSE = {"rtol": 1e-6, "atol": 1e-5}


@dataclass(frozen=True)
class Row:
    """One line of the table; ``refused`` is the error, where there is one."""

    family: str
    readout: str = "–"
    hard: str = "–"
    soft: str = "–"
    used: str = "–"
    bare: str = "–"
    as_set: str = "–"
    prefix: str = "–"
    refused: str = ""

    def __str__(self) -> str:
        return f"| {' | '.join(getattr(self, f.name) for f in fields(self))} |"


def examine(name: str, folder: Path, task: Task) -> Row:
    """The row of a family, its model and tokenizer lying in ``folder``.

    Raises:
        AssertionError: for a score that is neither Hugging Face's nor refused.
    """
    family = FAMILIES[name]
    try:
        backbone = load_backbone(str(folder), device="cpu", dtype=torch.float32)
    except LabError as error:
        return Row(name, refused=_reason(error))
    assert backbone.readout == family.readout
    case = _Case(backbone, folder, task)
    case.compare(None)
    case.compare(case.prompt)
    case.use()
    bare, refused = _equal_or_refused(case.compare_without_positions)
    as_set, why = _equal_or_refused(case.compare_as_a_set)
    refused = refused or why
    prefix = backbone.prefix_of(case.soft.encode(case.examples, case.prompt()))
    shared = ("read once" if prefix else "read each time") if family.readout == "causal" else "–"
    return Row(name, family.readout, "equal", "equal", "works", bare, as_set, shared, refused)


def _equal_or_refused(act: Callable[[], None]) -> tuple[str, str]:
    try:
        act()
    except LabError as error:
        return "refused", _reason(error)
    return "equal", ""


def _reason(error: LabError) -> str:
    text = str(error)
    assert "\n" not in text and ";" in text  # one line, and it says what to do
    what = text.split(";")[0]
    return what.split(": ", 1)[-1]


class _Case:
    def __init__(self, backbone, folder: Path, task: Task) -> None:
        self.backbone, self.task, self.readout = backbone, task, backbone.readout
        self.examples = task.split("test")[:5]
        line = Template(LINES[self.readout])
        words = Verbalizer({word: word for word in WORDS})
        if backbone.tokenizer.unk_token_id is not None:  # a tokenizer of whole words
            words = Verbalizer({word: word for word in WORDS[:2]})
        self.words = list(words.words)
        self.hard = PromptedModel(backbone, line, words)
        self.soft = PromptedModel(backbone, line.with_soft(), words)
        generator = torch.Generator().manual_seed(1)
        vectors = torch.randn(ROWS, backbone.hidden_size, generator=generator)
        self.prompt = SoftPrompt(vectors * 0.5)
        auto = {
            "mlm": transformers.AutoModelForMaskedLM,
            "causal": transformers.AutoModelForCausalLM,
            "seq2seq": transformers.AutoModelForSeq2SeqLM,
            "encoder": transformers.AutoModel,
        }[self.readout]
        if "T5Encoder" in type(backbone.model).__name__:
            auto = transformers.T5EncoderModel
        self.model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def compare(self, prompt: SoftPrompt | None) -> None:
        ours = (self.hard if prompt is None else self.soft).scores(prompt, self.examples)
        vectors = None if prompt is None else prompt().detach()
        theirs = self.own_scores(vectors)
        torch.testing.assert_close(ours, theirs, **CLOSE)
        assert theirs.std(0).max() > 1e-3  # the texts matter, so that equality says something

    def use(self) -> None:
        """Train three steps, save, load, score again, and probe."""
        own = PromptedModel.for_task(self.backbone, self.task)
        prompt = SoftPrompt.from_vocab(self.backbone, 4)
        start = prompt().detach().clone()
        fit(own, prompt, self.task, steps=3, batch_size=8, lr=1e-2)
        assert not torch.equal(prompt(), start)
        before = own.scores(prompt, self.examples)
        with tempfile.TemporaryDirectory() as folder:
            save_prompt(Path(folder) / "prompt", prompt, own)
            again, card = load_for(self.backbone, Path(folder) / "prompt")
        assert torch.equal(card.model(self.backbone).scores(again, self.examples), before)
        orders = Shuffle().draw(4, 3, 0)
        probe = probe_order(own, prompt, self.task, orders, "test", limit=8)
        assert probe.summary()["permutations"] == 3
        assert probe.summary()["baseline"] == evaluate(own, prompt, self.task, limit=8).value

    def compare_without_positions(self) -> None:
        bare = self.soft.with_changes(positions=False)
        ours = bare.scores(self.prompt, self.examples)
        if self.readout == "causal":
            theirs = self.own_scores(self.prompt().detach(), position_of_rows=0)
            torch.testing.assert_close(ours, theirs, **CLOSE)
            return
        order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(2))
        other = SoftPrompt(self.prompt().detach()[order])
        torch.testing.assert_close(bare.scores(other, self.examples), ours, rtol=1e-6, atol=2e-5)
        for model in (self.soft, bare):
            moved = (model.scores(other, self.examples) - ours).abs().max()
            assert (moved > 1e-4) == (model is self.soft)  # with positions the order does matter

    def compare_as_a_set(self) -> None:
        as_set = self.soft.with_changes(positions="set")
        ours = as_set.scores(self.prompt, self.examples)
        order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(2))
        other = SoftPrompt(self.prompt().detach()[order])
        assert torch.equal(as_set.scores(other, self.examples), ours)
        if self.readout == "causal":
            theirs = self.own_scores(self.prompt().detach(), position_of_rows=0, rows_apart=True)
        else:
            theirs = self.soft.with_changes(positions=False).scores(self.prompt, self.examples)
        torch.testing.assert_close(ours, theirs, **CLOSE)

    # ---- Hugging Face's own forward pass, one text at a time ----

    @torch.no_grad()
    def own_scores(
        self,
        vectors: Tensor | None,
        position_of_rows: int | None = None,
        rows_apart: bool = False,
    ) -> Tensor:
        read = getattr(self, f"_{self.readout}")
        self.position_of_rows, self.rows_apart = position_of_rows, rows_apart
        return torch.stack([read(example.text, vectors) for example in self.examples])

    def _cut(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _run(self, ids: list[int], vectors: Tensor | None, **more):
        source = torch.tensor([ids])
        if vectors is None:
            return self.model(input_ids=source, **more)
        embedded = self.model.get_input_embeddings()(source)
        embedded = torch.cat([vectors[None], embedded], dim=1)
        if self.position_of_rows is not None:
            places = torch.arange(embedded.shape[1])[None]
            places[:, : len(vectors)] = self.position_of_rows
            more |= {"position_ids": places, "attention_mask": torch.ones_like(places)}
        if self.rows_apart:
            seen = torch.ones(embedded.shape[1], embedded.shape[1]).tril()
            seen[: len(vectors), : len(vectors)] = torch.eye(len(vectors))
            hidden = torch.zeros_like(seen).masked_fill(seen == 0, torch.finfo(seen.dtype).min)
            more["attention_mask"] = hidden[None, None]
        return self.model(inputs_embeds=embedded, **more)

    def _mlm(self, text: str, vectors: Tensor | None) -> Tensor:
        mask = self.tokenizer.mask_token_id
        ids = self.tokenizer(f"{text} It was{self.tokenizer.mask_token}.")["input_ids"]
        place = ids.index(mask) + (0 if vectors is None else len(vectors))
        logits = self._run(ids, vectors).logits[0, place]
        return torch.stack([logits[self._cut(f" {word}")].mean() for word in self.words])

    def _causal(self, text: str, vectors: Tensor | None) -> Tensor:
        start = self.tokenizer(f"{text} It was")["input_ids"]
        if start[-1] in (self.tokenizer.sep_token_id, self.tokenizer.eos_token_id):
            start = start[:-1]  # an end token, behind which nothing would follow
        scores = []
        for word in self.words:
            ids, total = list(start), torch.zeros(())
            for piece in self._cut(f" {word}"):
                total += self._run(ids, vectors).logits[0, -1].log_softmax(-1)[piece]
                ids.append(piece)
            scores.append(total)
        return torch.stack(scores)

    def _seq2seq(self, text: str, vectors: Tensor | None) -> Tensor:
        ids = self.tokenizer(text)["input_ids"]
        scores = []
        for word in self.words:
            target = torch.tensor([self.tokenizer(text_target=word)["input_ids"]])
            # the library's loss is the mean cross entropy over the target's pieces
            scores.append(-self._run(ids, vectors, labels=target).loss * target.shape[1])
        return torch.stack(scores)

    def _encoder(self, text: str, vectors: Tensor | None) -> Tensor:
        def mean(hidden: Tensor) -> Tensor:
            return F.normalize(hidden.mean(0), dim=-1)

        start = 0 if vectors is None else len(vectors)
        ids = self.tokenizer(text)["input_ids"]
        pooled = mean(self._run(ids, vectors).last_hidden_state[0, start:])
        labels = [self._run(self.tokenizer(word)["input_ids"], None) for word in self.words]
        return 20.0 * torch.stack([pooled @ mean(label.last_hidden_state[0]) for label in labels])


# ---- the document ----

_HEAD = """# Models: equal or refused

Written by `python tests/families.py`, checked by `tests/test_families.py`; not by hand.

Each family is a tiny random model of the library's own class. Its scores (fp32, CPU) are held
against Hugging Face's forward pass on one text at a time, without cache, batch or padding, and are
equal to 1e-5; whatever is not is refused with one line. How labkit finds out is in
`labkit/core/proofs.py` and `labkit/core/positions.py`: by what a model does, not by its name, so a
family that is missing here is treated the same way.

- *hard*, *soft*: the scores of a hard prompt, and of one with {rows} virtual tokens in front.
- *used*: three training steps, saving, loading, and a probe of the order.
- *without positions*: `positions=False`, that is no position for the virtual tokens.
- *as a set*: `positions="set"`, that is the same bits in every order of them; in a causal model
  they do not see each other.
- *prefix*: whether a causal model reads what all texts begin with once, or with every text.
- Families that scale their words outside the embedding module (Marian, Pegasus): a hard prompt's
  words are scaled as the model does it; beside virtual tokens they are what `inputs_embeds` and
  PEFT give.
- A text ends where a model would begin to read all of it otherwise (rotary frequencies that follow
  the text's length, attention in blocks or to so many places only), see `labkit/core/limits.py`.

| family | readout | hard | soft | used | without positions | as a set | prefix | refused, because |
|---|---|---|---|---|---|---|---|---|
"""


def document(rows: list[Row]) -> str:
    """The text of docs/models.md."""
    return _HEAD.format(rows=ROWS) + "".join(f"{row}\n" for row in rows)


def main() -> None:
    from conftest import build_tiny_task

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, family in FAMILIES.items():
            rows.append(examine(name, family.build(Path(folder) / name), build_tiny_task()))
            print(rows[-1], file=sys.stderr)
    DOCUMENT.write_text(document(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
