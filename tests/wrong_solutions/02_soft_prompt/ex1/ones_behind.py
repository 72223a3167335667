# hint: in front of the text's own mask
import torch


def prepend(prompt, embedded, mask):
    rows = len(embedded)
    inputs = torch.cat([prompt.expand(rows, -1, -1), embedded], dim=1)
    return inputs, torch.cat([mask, mask.new_ones(rows, len(prompt))], dim=1)
