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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from labkit.core.fingerprints import known_revision
from labkit.core.tasks import Task
from labkit.experiments.base.digest import digest_of
from labkit.experiments.base.models import short
from labkit.experiments.base.recipe import Recipe
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
    task: str,
    ingredients: Ingredients,
) -> Origin:
    """What makes the row of a setting with a seed; loads no model.

    Args:
        task: of settings that name none.
    """
    known_as, fingerprint = ingredients.model(setting.backbone)
    data = ingredients.data(setting, task)
    files = experiment.inputs(setting, seed, place) if experiment.inputs else ()
    fields = {name: value for name, value in asdict(setting).items() if name not in LABELS}
    digest = digest_of(
        {
            **fields,
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

    A folder is called by its own name: where it lies is nobody else's business.
    """
    folder = Path(name)
    known_as = short(str(folder.resolve())) if folder.is_dir() else name
    return known_as, known_revision(name)


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
    return digest_of([repr(asked), task.fingerprint(*sorted(task.splits))])


class Ingredients:
    """Models and data that rows are made of, each looked at once."""

    def __init__(self, load: Callable[[str], Task]) -> None:
        self.model = functools.cache(model_identity)
        self._task = functools.cache(lambda name: data_digest(load(name)))

    def data(self, setting: Setting, task: str) -> str:
        """Digest of all that a row reads, where ``task`` is the experiment's own."""
        names = dict.fromkeys([setting.task or task, *setting.targets])
        return digest_of([self._task(name) for name in names])


def may_be_brought_over(row: Mapping, setting: Setting, command: str, origin: Origin) -> bool:
    """Whether a row from before there were digests says all that this setting would say.

    Its profile stands in the file's command; its recipe and what else the setting names, in the
    row. Nothing tells its limit, so that a row is brought over only where none is asked for.
    """
    profile = re.search(r"--profile (\w+)", command)
    if origin.limit is not None or profile is None or profile[1] != origin.profile:
        return False
    stated = {**asdict(setting), **asdict(setting.recipe), "backbone": setting.backbone}
    for label in (*LABELS, "recipe", "targets", "shuffle"):
        stated.pop(label, None)
    if setting.task is None:
        stated.pop("task")  # the experiment's own, which is in the file's name
    if "enhanced" in stated:  # a search's row says so of its positions
        stated["positions"] = stated.pop("enhanced")
    if row.get("permutations") == row.get("available"):
        stated.pop("permutations", None)  # all that there are
    # a row may be older than a field of the recipe; one that names no recipe was not trained
    before = asdict(Recipe()) if "steps" in row else stated
    return all(row.get(name, before.get(name, value)) == value for name, value in stated.items())
