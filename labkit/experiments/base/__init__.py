"""What every experiment is built from.

``recipe``, how a prompt is trained; ``models``, backbones that the rows of a table share; ``rows``,
what a row says of its scores; ``verdicts``, what follows from rows; ``kept``, train once, keep,
reuse; ``report``, Markdown; ``result_file``, a table on disk; ``runner``, which runs a table row by
row.
"""
