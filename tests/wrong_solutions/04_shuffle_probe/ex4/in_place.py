# hint: undo_positions changes its argument `vectors`: work on a copy, the caller needs it as it w
import torch


def undo_positions(vectors, table):
    with torch.no_grad():
        vectors -= table[: len(vectors)]
    return vectors
