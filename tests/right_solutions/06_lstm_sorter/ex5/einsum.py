import torch


def swap_changes(vectors, gradient):
    steps = vectors.unsqueeze(0) - vectors.unsqueeze(1)
    return torch.einsum("ijd,ijd->ij", gradient.unsqueeze(1) - gradient.unsqueeze(0), steps)
