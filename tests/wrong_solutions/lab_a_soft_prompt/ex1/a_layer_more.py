# hint: the parameters are layer.bias, layer.weight, vectors
import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())
        self.layer = nn.Linear(start.shape[1], start.shape[1])

    def forward(self, embedded, mask):
        front = self.layer(self.vectors).expand(len(embedded), -1, -1)
        ones = mask.new_ones(len(mask), len(self.vectors))
        return torch.cat([front, embedded], 1), torch.cat([ones, mask], 1)
