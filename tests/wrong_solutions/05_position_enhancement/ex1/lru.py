# hint: whoever writes to a result of sinusoids changes the next one: the same object comes back e
import functools

import torch


@functools.lru_cache
def sinusoids(length, width):
    a = torch.arange(length)[:, None] / 10_000 ** (torch.arange(width) / width)
    t = a.sin()
    t[:, 1::2] = a[:, 1::2].cos()
    return t
