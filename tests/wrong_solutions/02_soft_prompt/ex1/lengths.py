# hint: as if all padding stood behind the text
import torch


def prepend(prompt, embedded, mask):
    rows, length = embedded.shape[0], len(prompt)
    inputs = torch.cat([prompt.expand(rows, -1, -1), embedded], 1)
    ends = length + mask.sum(1, keepdim=True)
    return inputs, (torch.arange(inputs.shape[1]) < ends).to(mask.dtype)
