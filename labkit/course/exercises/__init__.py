"""Exercises: their checks, the rules of a check, and how cells of a notebook are read.

``checks`` holds a folder for each notebook and a module for each exercise. ``answers`` is what
every check does beside checking; ``guard`` calls an answer (``running``: what holds around the
call, ``draws``: chance, ``values``: arguments as they were); ``compare`` holds it against plain
code (``outcomes`` of cases, ``memory`` between calls, ``diagnosis`` of what is wrong; ``results``
reads what comes back, ``show`` writes it). ``stand_ins`` serve cells below an unsolved exercise,
``lab_a_soft_prompt`` does so for Lab A's milestones; ``plans`` locks what Lab B claims; ``cells``
reads notebooks.
"""
