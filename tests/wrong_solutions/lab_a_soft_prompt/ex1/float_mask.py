# hint: the mask came as int64 and comes back as float32
import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())

    def forward(self, embedded, mask):
        inputs = torch.cat([self.vectors.expand(len(embedded), -1, -1), embedded], 1)
        return inputs, torch.cat([torch.ones(len(mask), len(self.vectors)), mask], 1)
