"""What a row was made of, so that a resumed table keeps only the rows that still say the truth.

A row's digest covers its setting but for the label, the seed, the profile and the limit, the exact
model, the data, and other files that it reads. The version of the code stands beside it, as a note:
a new version does not make old numbers wrong.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

from labkit.core import assets
from labkit.core.tasks import SPLITS, Task
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.models import short
from labkit.experiments.base.setting import Experiment, Place, Setting

LABELS = ("name", "paper")
"""Fields of a setting that change nothing about the row's numbers."""


@dataclass(frozen=True)
class Origin:
    """What makes a row; ``digest`` stands in the row, and these parts beside it."""

    digest: str
    profile: str
    limit: int | None
    model: str
    fingerprint: str
    data: str

    def note(self) -> dict:
        """As the row keeps it."""
        parts = {k: v for k, v in asdict(self).items() if k != "digest"}
        return {"digest": self.digest, "made": {**parts, "version": version("soft-prompt-lab")}}

    def against(self, row: Mapping) -> str:
        """Which parts of a row are others now, in words."""
        known = row.get("made", {})
        parts = {k: v for k, v in asdict(self).items() if k in known and known[k] != v}
        changes = [f"{name} {known[name]} → {value}" for name, value in parts.items()]
        return ", ".join(c for c in changes if not c.startswith("digest")) or "its settings"


def origin_of(
    experiment: Experiment,
    setting: Setting,
    seed: int,
    place: Place,
    profile: str,
    data: str,
) -> Origin:
    """What makes the row of a setting with a seed; loads no model.

    Args:
        data: digest of the tasks that the row reads.
    """
    known_as, fingerprint = model_identity(setting.backbone)
    files = experiment.inputs(setting, seed, place) if experiment.inputs else ()
    own = {name: value for name, value in asdict(setting).items() if name not in LABELS}
    digest = digest_of(
        {
            **own,
            "row": experiment.rows or experiment.run_row.__name__,
            "seed": seed,
            "profile": profile,
            "limit": place.limit,
            "backbone": known_as,
            "fingerprint": fingerprint,
            "data": data,
            "files": [_digest_of_file(file, *_state(file)) for file in files],
        }
    )
    return Origin(digest, profile, place.limit, known_as, fingerprint, data)


def model_identity(name: str) -> tuple[str, str]:
    """What a model is called, and a fingerprint of its exact weights; no model is loaded.

    A folder is called by its own name: where it lies is nobody else's business. The fingerprint is
    the pinned version of a default model, the commit of a Hub model where it lies in the cache
    (else empty), and of a folder a digest of its configuration and weights.
    """
    if name in assets.MODELS:
        return name, assets.ASSETS[name].version
    folder = Path(name)
    if folder.is_dir():
        files = [f for p in ("*.json", "*.safetensors", "*.bin", "*.model") for f in folder.glob(p)]
        parts = [(f.name, _digest_of_file(f, *_state(f))) for f in sorted(files)]
        return short(str(folder.resolve())), digest_of(parts)
    return name, _cached_commit(name)


def _cached_commit(name: str) -> str:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        file = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # no Hub id
        return ""
    return Path(file).parent.name if isinstance(file, str) else ""


def _state(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_size, about.st_mtime_ns


@functools.lru_cache(maxsize=1024)
def _digest_of_file(file: Path, size: int, changed: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def data_digest(task: Task) -> str:
    """Of every example of every split, and of how the task asks for its labels."""
    asked = (task.labels, task.range, sorted(task.prompts.items(), key=lambda item: item[0]))
    total = hashlib.sha256(repr(asked).encode())
    for split in SPLITS:
        for example in task.splits.get(split, ()):
            total.update(repr((split, sorted(example.fields.items()), example.label)).encode())
    return total.hexdigest()[:16]


class Data:
    """Digests of tasks, each read once."""

    def __init__(self, load: Callable[[str], Task]) -> None:
        self._digest = functools.cache(lambda name: data_digest(load(name)))

    def digest(self, setting: Setting, task: str) -> str:
        """Of all that a row reads, where ``task`` is the experiment's own."""
        names = dict.fromkeys([setting.task or task, *setting.targets])
        return digest_of([self._digest(name) for name in names])


def may_be_brought_over(row: Mapping, setting: Setting, command: str, origin: Origin) -> bool:
    """Whether a row from before there were digests says all that this setting would say.

    Its profile stands in the file's command; its recipe and what else the setting names, in the
    row. Nothing tells its limit, so that a row is brought over only where none is asked for.
    """
    profile = re.search(r"--profile (\w+)", command)
    if origin.limit is not None or profile is None or profile[1] != origin.profile:
        return False
    own = {**asdict(setting), **asdict(setting.recipe), "backbone": setting.backbone}
    for label in (*LABELS, "recipe", "targets", "shuffle"):
        own.pop(label, None)
    if row.get("permutations") == row.get("available"):
        own.pop("permutations", None)  # all that there are
    defaults = {field.name: field.default for field in fields(setting.recipe)}
    return all(
        row[name] == value if name in row else _is_unset(name, value, row, defaults)
        for name, value in own.items()
    )


def _is_unset(name: str, value: object, row: Mapping, defaults: Mapping) -> bool:
    """Whether a row that does not name a setting was made with it all the same.

    Of the recipe, what is newer than the row stood at its default. Rows of what is not trained name
    nothing of it.
    """
    return name not in defaults or "steps" not in row or value == defaults[name]
