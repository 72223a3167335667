# hint: stands behind the text
import torch


def prepend(prompt, embedded, mask):
    rows = len(embedded)
    inputs = torch.cat([embedded, prompt.expand(rows, -1, -1)], dim=1)
    return inputs, torch.cat([mask, mask.new_ones(rows, len(prompt))], dim=1)
