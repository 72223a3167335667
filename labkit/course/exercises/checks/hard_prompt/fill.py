"""Exercise 1.3: the check of ``fill``."""

from __future__ import annotations

import re

from labkit.course.exercises.answers import exercise
from labkit.course.exercises.compare import Draw, compare
from labkit.course.exercises.guard import Guarded


def _filled(template: str, text: str) -> str:
    before = template[: template.index("{mask}")]
    if before.endswith(" "):
        before = before[:-1]
    return text.join(before.split("{text}"))


def _one_after_the_other(template: str, text: str) -> str:
    """Each replacement looks at what the one before it has put in."""
    before = template.partition("{mask}")[0].removesuffix(" ")
    for _ in range(before.count("{text}")):
        before = before.replace("{text}", text, 1)
    return before


@exercise(overtime="does a review that mentions {text} bring its loop a new slot each time?")
def check_fill(fill: Guarded, draw: Draw) -> str:
    """``fill``: template, text → the words in front of the answer."""
    templates = [
        "{text} It was {mask}",
        "Review: {text}\nSentiment: {mask}",
        "One: {text}\nTwo: {text}, so it is {mask}!",
        "It was {mask}: {text}",
        "{text}\nAll in all: {mask} . {text}",
        "Review:  {text}  (end)\n{mask}",
        "In short,{mask} {text}",
        "{text} {mask}",
        " \n {text} or {text}: {mask}",
        "{text}{text}{mask}",
    ]
    words = ["Good fun.", "{odd} braces", "x {mask} y", "a {text} b", "", r"a\1 b\n", "  so  so ",
             "100 % é", "{", "{0} {}", "ends in {mask}", "\n so", "{text}",
             "{mask}{text}"]  # fmt: skip
    cases = [(templates[0], words[0]), (templates[1], words[0]), (templates[1], words[1])]
    cases += [(t, draw.plain.choice(words)) for t in templates]
    cases += [(template, word) for word in words for template in templates]
    compare(
        fill,
        cases,
        _filled,
        mistakes={
            "a slot is left: end where {mask} begins": lambda t, x: t.replace("{text}", x),
            "the text ends in a space: it belongs to the label word (' great'), and a lone space "
            "is a piece that the model hardly ever saw": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x)
            ),
            "the words have lost their spaces: only the space in front of the answer goes": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).replace(" ", "").strip()
            ),
            "a review that mentions {mask} is cut short: braces inside the review are not slots, "
            "so look for {mask} first and replace the text last": (
                lambda t, x: t.replace("{text}", x).partition("{mask}")[0].removesuffix(" ")
            ),
            "a review that mentions {mask} is cut short (and more than one space goes): braces "
            "inside the review are not slots, so replace the text last": (
                lambda t, x: t.replace("{text}", x).partition("{mask}")[0].rstrip()
            ),
            "braces inside the review are not slots; replace the text last": (
                lambda t, x: t.replace("{text}", x).split("{")[0].removesuffix(" ")
            ),
            "str.format reads every brace as a slot, also those of the review or after it": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).format().rstrip(" ")
            ),
            "a review that mentions {text} is filled once more: replace all slots at once, as "
            "`replace` does, and look at no slot in the review": _one_after_the_other,
            "the new line in front of {mask} is gone: only a space goes": (
                lambda t, x: t.partition("{mask}")[0].rstrip().replace("{text}", x)
            ),
            "white space at the ends is gone: only the space in front of {mask} goes, and the "
            "review stays as it is": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).strip()
            ),
            "white space at the end is gone: only the space in front of {mask} goes": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).rstrip()
            ),
            "white space in front is gone: only the space in front of {mask} goes": (
                lambda t, x: _filled(t.lstrip(), x)
            ),
            "white space in front is gone, the review's own too: only the space in front of {mask} "
            "goes": lambda t, x: _filled(t, x).lstrip(),
            "the white space in front of the review is gone: it stays as it is": (
                lambda t, x: _filled(t, x.lstrip())
            ),
            "the review's own white space has changed": (lambda t, x: _filled(t, x.strip())),
            "the review's own white space was collapsed": (
                lambda t, x: _filled(t, " ".join(x.split()))
            ),
            "spaces at the review's own end are gone: take away the one in front of {mask}, then "
            "put the review in": (
                lambda t, x: t.partition("{mask}")[0].replace("{text}", x).rstrip(" ")
            ),
            "only the first {text} is filled: a template may hold several": (
                lambda t, x: t.partition("{mask}")[0].removesuffix(" ").replace("{text}", x, 1)
            ),
            "what stands behind {mask} is there too: end where it begins": (
                lambda t, x: t.replace("{mask}", "").replace("{text}", x).strip()
            ),
            "{mask} is gone, and what stands behind it is there: end where it begins": (
                lambda t, x: t.replace("{text}", x).replace(" {mask}", "").replace("{mask}", "")
            ),
            "the last letter is cut where no space stands in front of {mask}": (
                lambda t, x: t.partition("{mask}")[0][:-1].replace("{text}", x)
            ),
            "the review is put in as a pattern: re.sub reads its backslashes": (
                lambda t, x: re.sub(r"\{text\}", x, t.partition("{mask}")[0].removesuffix(" "))
            ),
            "the review is not put in": lambda t, x: t.partition("{mask}")[0].removesuffix(" "),
            "the text is cut in front of the space: it goes once, and only if it is there": (
                lambda t, x: t[: t.index(" {mask}")].replace("{text}", x)
            ),
        },
        traits={
            "a slot is left": lambda got, right, t, x: (
                "{" not in x and ("{text}" in got or "{mask}" in got)
            ),
            "the text ends in a space: it belongs to the label word (' great'), and a lone space "
            "is a piece that the model hardly ever saw": lambda got, *_: got.endswith(" "),
            "a review with braces is not read as it is: braces inside the review are not slots, "
            "so look for {mask} before the review is put in, and replace the text last": (
                lambda got, right, t, x: "{" in x and got != right
            ),
            "the text is cut short": lambda got, right, *_: got != right and right.startswith(got),
            "what stands behind {mask} is there too: end where it begins": (
                lambda got, right, *_: got != right and got.startswith(right)
            ),
        },
        where="The review in the place of each {text}, the end where {mask} begins, without the "
        "space in front of it; the review itself stays as it is",
    )
    return "filled: text in place, no space left in front of the answer"
