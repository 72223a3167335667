import torch


def prepend(prompt, embedded, mask):
    rows = len(embedded)
    inputs = torch.cat([prompt[None].repeat(rows, 1, 1), embedded], 1)
    return inputs, torch.nn.functional.pad(mask, (len(prompt), 0), value=1)
