# hint: Sizes of tensors must match
import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())
        self.front = None

    def forward(self, embedded, mask):
        if self.front is None:
            self.front = self.vectors.expand(len(embedded), -1, -1)
        read = mask.new_ones(len(mask), len(self.vectors))
        return torch.cat([self.front, embedded], 1), torch.cat([read, mask], 1)
