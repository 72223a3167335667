# hint: mask and input are exchanged: the input comes first
import torch


def prepend(prompt, embedded, mask):
    B = len(embedded)
    return torch.cat([mask.new_ones(B, len(prompt)), mask], 1), torch.cat(
        [prompt.expand(B, -1, -1), embedded], 1
    )
