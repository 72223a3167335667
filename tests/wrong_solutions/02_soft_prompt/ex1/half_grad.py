# hint: the gradient that reaches `prompt` is another one than that of the result
import torch


def prepend(prompt, embedded, mask):
    B = len(embedded)
    p = prompt / 2 + prompt.detach() / 2
    return torch.cat([p.expand(B, -1, -1), embedded], 1), torch.cat(
        [mask.new_ones(B, len(prompt)), mask], 1
    )
