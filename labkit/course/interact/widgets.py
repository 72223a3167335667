"""What moves in a notebook: the live loss curve, the box for a reader's own review, sliders.

All are thin skins over pure functions (`loss_curves`, a `score` function), and all leave a
picture behind where nothing can move: in a saved notebook, on GitHub, in an exported page. Pictures
are replaced in place through a display id, so a cell never piles up frames.

    with closing(LiveCurve("The loss falls within fifty steps")) as live:
        fit(model, prompt, task, on_step=live)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets
from IPython import get_ipython
from IPython.display import DisplayHandle, display
from nbformat import NotebookNode

from labkit.audit.recompute import recompute
from labkit.core.errors import LabError
from labkit.course.figures.attention import AnswerAttention, attention_map
from labkit.course.figures.glue import recomputed_table
from labkit.course.figures.lstm_sorter import exchange_map
from labkit.course.figures.shared import Results, loss_curves, review_figure
from labkit.course.figures.shuffle_probe import order_map
from labkit.course.figures.soft_prompt import duels, length_duels, nearest_words
from labkit.course.figures.style import CourseFigure
from labkit.course.interact.recorded import Choice, Recorded, recording, thinned
from labkit.course.language import in_language
from labkit.lstm_sorter import PairChanges
from labkit.shuffle_probe import Probe
from labkit.soft_prompt import Neighbours

REDRAW_SECONDS = 0.25  # four pictures a second are enough for the eye
REDRAW_SHARE = 0.1  # of the time, at most: the processor belongs to the training
WIDE = {"width": "98%"}
VIEW = "application/vnd.jupyter.widget-view+json"


class LiveCurve:
    """The loss curve of a run, redrawn in place while it trains; call it after every step.

    Outside a notebook it only collects, so the same code runs in a script and prints nothing.
    """

    def __init__(
        self,
        title: str,
        metric: str = "accuracy",
        validation_size: int | None = None,
    ) -> None:
        """See `loss_curves` for the title, the metric and the size of the validation set."""
        self._drawing = {"title": title, "metric": metric, "validation_size": validation_size}
        self._train: tuple[list[int], list[float]] = ([], [])
        self._validation: tuple[list[int], list[float]] = ([], [])
        self._handle: DisplayHandle | None = None
        self._next_redraw = 0.0

    def __call__(self, step: int, loss: float, validation: float | None = None) -> None:
        """Take one step's training loss, and the validation score if one was measured."""
        for (steps, values), value in ((self._train, loss), (self._validation, validation)):
            if value is not None:
                steps.append(step)
                values.append(value)
        if _in_notebook() and time.monotonic() >= self._next_redraw:
            self._redraw()

    def close(self) -> None:
        """Draw the whole run a last time."""
        if _in_notebook() and self._train[0]:
            self._redraw()

    def figure(self) -> CourseFigure:
        """The curve so far; raises LabError before the first step."""
        if not self._train[0]:
            raise LabError("a loss curve without a step: call the curve after each training step")
        return loss_curves({"training": (*self._train, *self._validation)}, **self._drawing)

    def _redraw(self) -> None:
        started = time.monotonic()
        self._handle = _show(self.figure(), self._handle)
        finished = time.monotonic()
        pause = max(REDRAW_SECONDS, (finished - started) / REDRAW_SHARE)
        self._next_redraw = finished + pause


class Still:
    """A figure that is drawn once, however often it is shown: for sliders over a few pictures."""

    def __init__(self, figure: CourseFigure) -> None:
        self.figure, self.alt = figure, figure.alt
        self._bundle = figure._repr_mimebundle_()

    def png(self, dpi: int, colours: int) -> bytes:
        return self.figure.png(dpi, colours)

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, Any]]:
        return self._bundle


def review_box(
    score: Callable[[str], Results],
    text: str = "a gorgeous, witty, seductive movie .",
    others: Sequence[str] = (),
) -> None:
    """A box for the reader's own review, and under it what each prompt makes of it.

    Args:
        score: a review -> prompt name -> label -> probability. A LabError it raises, for an empty
            review say, is shown beside the box; the picture stays.
        text: the review to begin with. Its picture is what a saved notebook shows.
        others: reviews that a page without a kernel offers beside it.
    """
    box = ipywidgets.Text(
        value=text,
        placeholder=in_language("type a review and press Enter"),
        continuous_update=False,  # score a finished review, not every letter of it
        layout=WIDE,
    )
    message = ipywidgets.Label()
    display(ipywidgets.VBox([box, message]))
    first = review_figure(score(text), text)
    if recording() and others:
        reviews = [(review, review) for review in (text, *others)]
        first = Recorded([Choice("review", reviews)], lambda one: review_figure(score(one), one))
    handle = _show(first)

    def rescore(change: Mapping[str, Any]) -> None:
        try:
            results = score(change["new"])
        except LabError as error:
            message.value = in_language(str(error))
        else:
            message.value = ""
            _show(review_figure(results, change["new"]), handle)

    box.observe(rescore, names="value")


def order_slider(probe: Probe) -> None:
    """A slider over the orders of a probe, whose answers are there already.

    Where no widget can be shown, the picture of the first order stays.
    """
    last = len(probe.orders) - 1
    _follow(lambda order: order_map(probe, order), _slider(0, last, "order"))


def length_slider(result: Mapping[str, Any]) -> None:
    """A slider over the prompt lengths of a `lester-length` result, each against all others.

    Where no widget can be shown, the figure of the second length stays: the first one has nothing
    but longer prompts to be held against.
    """
    lengths = sorted({row["setting"] for row in result["rows"]}, key=int)
    outcomes = duels(result["rows"], lengths)
    figures = {length: Still(length_duels(outcomes, length)) for length in lengths}
    slider = ipywidgets.SelectionSlider(
        options=lengths, value=lengths[1], description=in_language("length"), layout=WIDE
    )
    _follow(figures.__getitem__, slider)


def nearest_slider(groups: Mapping[str, Neighbours]) -> None:
    """A slider over the virtual tokens, and the vocabulary entries nearest to each.

    Args:
        groups: see `figures.soft_prompt.nearest_words`. Where no widget can be shown, e1 stays.
    """
    count = min(len(neighbours.tokens) for neighbours in groups.values())
    _follow(lambda token: nearest_words(groups, token - 1), _slider(1, count, "token e"))


def attention_chooser(looks: Mapping[str, AnswerAttention]) -> None:
    """Lists of the layers and heads, and where the answer slot looks in the chosen ones.

    Args:
        looks: see `attention_map`. Where no widget can be shown, the mean over all stays.
    """
    n_layers, n_heads, _ = next(iter(looks.values())).shares.shape
    _follow(
        lambda layer, head: attention_map(looks, layer, head),
        _one_or_mean("layer", n_layers),
        _one_or_mean("head", n_heads),
    )


def exchange_chooser(changes: PairChanges) -> None:
    """Two lists of places, and what exchanging the virtual tokens there does to the loss.

    Where no widget can be shown, the exchange of the first with the last stays.
    """
    places = sorted({place for pair in changes.pairs for place in pair})
    first, second = (
        ipywidgets.Dropdown(
            options=[(str(p), p) for p in places], value=value, description=in_language(name)
        )
        for name, value in (("exchange", places[0]), ("with", places[-1]))
    )
    _follow(lambda one, other: exchange_map(changes, one, other), first, second)


def table_recomputer(tables: Sequence[int], sizes: Mapping[str, Mapping[str, int]]) -> None:
    """Lists of the paper's tables and of test sets, and the table recomputed cell by cell.

    Args:
        tables: numbers of printed tables; the first one stays where no widget can be shown.
        sizes: name → task → test examples, which scores are checked against.
    """
    _follow(
        lambda table, size: recomputed_table(recompute(table, sizes[size]), f"Table {table}"),
        _dropdown("table", [(str(t), t) for t in tables]),
        _dropdown("scored on", _spoken(sizes)),
    )


def token_sorter(draw: Callable[[Sequence[int]], Any], orders: Mapping[str, Sequence[int]]) -> None:
    """Virtual tokens as tags to drag, and under them what is drawn of their order.

    Args:
        draw: an order → its picture.
        orders: name → an order of the same tokens: the first one is where the tags begin, the
            others can be chosen; a page without a kernel has only these.
    """
    names = list(orders)
    tokens = [str(token) for token in sorted(orders[names[0]])]
    box = _dropdown("order", _spoken(names))
    tags = ipywidgets.TagsInput(
        value=[str(token) for token in orders[names[0]]],
        allowed_tags=tokens,
        allow_duplicates=False,
    )
    drag = in_language("Drag a token to another place.")
    message = ipywidgets.Label(drag)
    display(ipywidgets.VBox([box, tags, message]))
    choices = [Choice("order", [(name, list(orders[name])) for name in names])]
    first = Recorded(choices, draw) if recording() else draw(list(orders[names[0]]))
    handle = _show(first)

    def choose(change: Mapping[str, Any]) -> None:
        tags.value = [str(token) for token in orders[change["new"]]]

    def redraw(change: Mapping[str, Any]) -> None:
        missing = [token for token in tokens if token not in change["new"]]
        if missing:
            message.value = in_language(f"Missing: type {' and '.join(missing)} to put it back.")
        else:
            message.value = drag
            _show(draw([int(token) for token in change["new"]]), handle)

    box.observe(choose, names="value")
    tags.observe(redraw, names="value")


def figure_chooser(
    names: Sequence[str], draw: Callable[[str], CourseFigure], description: str
) -> None:
    """A list to choose from, and the figure of what is chosen.

    Where no widget can be shown, the figure of the first name stays.
    """
    _follow(draw, _dropdown(description, _spoken(names)))


def strip_widgets(notebook: NotebookNode) -> None:
    """Take out of an executed notebook what only its kernel could have shown.

    A widget without its kernel is an error message in JupyterLab, and saved widget state breaks
    GitHub's rendering; the pictures under the widgets stay.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if VIEW not in output.get("data", {})]


def _in_notebook() -> bool:
    """Whether a front end receives what is displayed; a terminal would print it as text."""
    return hasattr(get_ipython(), "kernel")


def _follow(draw: Callable[..., Any], *controls: ipywidgets.ValueWidget) -> None:
    """Show the controls, and under them what is drawn of their values, in place of the last."""
    for control in controls:
        display(control)
    choices = [_choice(control) for control in controls] if recording() else []
    first = Recorded(choices, draw) if choices else draw(*(control.value for control in controls))
    handle = _show(first)

    def redraw(_: object) -> None:
        _show(draw(*(control.value for control in controls)), handle)

    for control in controls:
        control.observe(redraw, names="value")


def _choice(control: ipywidgets.ValueWidget) -> Choice:
    """What a control offers, as a page shows it; of a long slider some of its places."""
    if isinstance(control, ipywidgets.IntSlider):
        numbers = thinned(range(control.min, control.max + 1))
        return Choice(control.description, [(str(number), number) for number in numbers])
    options = [o if isinstance(o, tuple) else (o, o) for o in control.options]
    start = [value for _, value in options].index(control.value)
    return Choice(control.description, options, start)


def _slider(first: int, last: int, name: str) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(first, first, last, description=in_language(name), layout=WIDE)


def _one_or_mean(what: str, count: int) -> ipywidgets.Dropdown:
    mean = in_language(f"mean of all {count}")
    return _dropdown(what, [(mean, None), *((str(i + 1), i + 1) for i in range(count))])


def _dropdown(name: str, options: Sequence[tuple[str, Any]]) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, description=in_language(name))


def _spoken(names: Iterable[str]) -> list[tuple[str, str]]:
    """Options, each as the reader's language says it."""
    return [(in_language(name), name) for name in names]


def _show(picture: Any, handle: DisplayHandle | None = None) -> DisplayHandle:
    """Show a picture, in the place of the one that the handle stands for."""
    if handle is None:
        return display(picture, display_id=True)
    handle.update(picture)
    return handle
