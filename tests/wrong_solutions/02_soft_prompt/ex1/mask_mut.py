# hint: prepend changes its argument `mask`: work on a copy, the caller needs it as it was
import torch


def prepend(prompt, embedded, mask):
    B = len(embedded)
    n = torch.cat([mask.new_ones(B, len(prompt)), mask], 1)
    mask.fill_(1)
    return torch.cat([prompt.expand(B, -1, -1), embedded], 1), n
