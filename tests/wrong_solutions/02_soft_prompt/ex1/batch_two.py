# hint: 4)>) ends in RuntimeError
import torch


def prepend(prompt, embedded, mask):
    p = torch.stack([prompt, prompt])
    return torch.cat([p, embedded], 1), torch.cat([mask.new_ones(2, len(prompt)), mask], 1)
