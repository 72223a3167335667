import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.vectors = nn.Parameter(start.detach().clone())

    def forward(self, embedded, mask):
        front = self.vectors.unsqueeze(0).repeat(embedded.shape[0], 1, 1)
        ones = torch.ones(len(mask), len(self.vectors), dtype=mask.dtype, device=mask.device)
        return torch.cat((front, embedded), dim=1), torch.cat((ones, mask), dim=1)
