# hint: no gradient reaches `prompt`
import torch


def prepend(prompt, embedded, mask):
    rows = len(embedded)
    inputs = torch.cat([prompt.detach().expand(rows, -1, -1), embedded], dim=1)
    return inputs, torch.cat([mask.new_ones(rows, len(prompt)), mask], dim=1)
