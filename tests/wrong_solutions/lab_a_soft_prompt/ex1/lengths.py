# hint: as if all padding stood behind the text
import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())

    def forward(self, embedded, mask):
        inputs = torch.cat([self.vectors.expand(len(embedded), -1, -1), embedded], 1)
        ends = len(self.vectors) + mask.sum(1, keepdim=True)
        return inputs, (torch.arange(inputs.shape[1]) < ends).to(mask.dtype)
