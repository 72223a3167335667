# hint: places to the right are hidden, as in a causal model: this module sees both sides
import torch


def head(queries, keys, values, relative):
    s = queries @ keys.T + relative
    s = s.masked_fill(torch.ones_like(s).triu(1).bool(), float("-inf"))
    return s.softmax(-1) @ values
