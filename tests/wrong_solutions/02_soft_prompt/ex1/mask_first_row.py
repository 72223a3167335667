# hint: [1, 5] is 1.0
import torch


def prepend(prompt, embedded, mask):
    B = len(embedded)
    return torch.cat([prompt.expand(B, -1, -1), embedded], 1), torch.cat(
        [mask.new_ones(B, len(prompt)), mask[:1].expand(B, -1)], 1
    )
