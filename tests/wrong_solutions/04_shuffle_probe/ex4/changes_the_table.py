# hint: changes its argument `table`
import torch


def undo_positions(vectors, table):
    with torch.no_grad():
        table[: len(vectors)] = 0.0
    return vectors + 0.0
