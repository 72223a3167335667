"""`labkit export`: a prompt as a model folder that needs no code of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.cli.folders import check_movable
from labkit.cli.options import Json
from labkit.cli.output import show, verb
from labkit.cli.progress import progress
from labkit.core.errors import LabError
from labkit.core.files import real

app = typer.Typer()


@app.command()
def export(
    prompt: Annotated[Path, typer.Argument(help="folder of a saved soft prompt")],
    as_tokens: Annotated[
        Path, typer.Option("--as-tokens", help="folder for the model with the prompt in its table")
    ],
    backbone: Annotated[str | None, typer.Option(help="default: the prompt's own")] = None,
    names_in_text: Annotated[
        bool,
        typer.Option(
            "--names-in-text",
            help="leave the tokenizer's layout alone and write the tokens' names in front of a "
            "text, as llama.cpp needs it",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write virtual tokens into a model's embedding table, for plain transformers."""
    with verb(as_json), progress("exporting") as update:
        import torch

        from labkit.core.loading import load_backbone
        from labkit.soft_prompt import load_for, load_prompt
        from labkit.soft_prompt.export import export_as_tokens

        card = load_prompt(prompt)[1]
        if card is None:
            raise LabError(
                f"{prompt} was saved by PEFT and does not say its template and label words; train "
                "it here, or write its labkit.json"
            )
        name = backbone or card.backbone
        _check_free(as_tokens, prompt, name)
        check_movable(as_tokens)
        update(0, None, f"loading {name} in float32")
        frozen = (
            load_backbone(backbone, dtype=torch.float32)
            if backbone
            else card.load_backbone(torch.float32)
        )
        module, card = load_for(frozen, prompt)
        update(0, None, "writing, and holding the scores against labkit's")
        used = card.model(frozen)
        result = export_as_tokens(as_tokens, module, used, names_in_text=names_in_text)
    fields = {
        "out": str(as_tokens),
        "backbone": frozen.name,
        "readout": frozen.readout,
        "tokens": list(result.tokens),
        "masked": result.masked,
        "difference": result.difference,
        "template": result.line,
    }
    lines = [
        frozen.describe(),
        f"{len(result.tokens)} virtual tokens are rows of the table: {result.tokens[0]} to "
        f"{result.tokens[-1]}, "
        + ("whose names are written" if names_in_text else "which the tokenizer puts")
        + " in front of every text",
        f"{result.masked} new rows of the output table take no probability",
        f"label scores differ from labkit's by at most {result.difference:.1g}",
        f"give it {result.line!r}",
        f"saved in {as_tokens}",
    ]
    show(fields, lines, as_json)


def _check_free(out: Path, prompt: Path, backbone: str) -> None:
    """Nothing but an earlier export is replaced, and it stands apart from what is read."""
    from labkit.core.loading import NAMED
    from labkit.soft_prompt.export_folder import check_replaceable

    here, place = Path.cwd(), real(out)
    if place in (here, *here.parents):
        raise LabError(f"--as-tokens {out} is the folder you stand in, or around it; name another")
    read = {"prompt": prompt}
    if backbone not in NAMED and Path(backbone).is_dir():
        read["backbone"] = Path(backbone)
    for role, folder in read.items():
        theirs = real(folder)
        if place.is_relative_to(theirs) or theirs.is_relative_to(place):
            raise LabError(
                f"--as-tokens {out} is the {role}'s own folder ({folder}), in it or around it; "
                "name another"
            )
    check_replaceable(out)
