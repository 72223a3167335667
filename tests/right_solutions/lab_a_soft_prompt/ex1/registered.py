import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.register_parameter("vectors", nn.Parameter(torch.empty_like(start)))
        self.vectors.data.copy_(start)

    def forward(self, embedded, mask):
        rows = [torch.cat([self.vectors, text]) for text in embedded]
        return torch.stack(rows), nn.functional.pad(mask, (len(self.vectors), 0), value=1)
