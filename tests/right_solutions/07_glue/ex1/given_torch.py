def read(scores, low, high):
    """torch is imported in the first cell, as Tensor is."""
    odds = torch.exp(scores[:, 1] - scores[:, 0])  # noqa: F821
    return low + (high - low) * odds / (1 + odds)
