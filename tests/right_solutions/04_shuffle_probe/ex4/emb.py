import torch
from torch.nn import functional as F


def undo_positions(vectors, table):
    return vectors - F.embedding(torch.arange(len(vectors)), table.detach())
