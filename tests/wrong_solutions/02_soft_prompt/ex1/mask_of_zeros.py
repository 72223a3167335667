# hint: their mask is 1
import torch


def prepend(prompt, embedded, mask):
    rows = len(embedded)
    inputs = torch.cat([prompt.expand(rows, -1, -1), embedded], dim=1)
    return inputs, torch.cat([mask.new_zeros(rows, len(prompt)), mask], dim=1)
