import torch
from torch import nn


class SoftPrompt(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(start.shape).to(start))
        with torch.no_grad():
            self.vectors += start

    def forward(self, embedded, mask):
        count, length, width = embedded.shape
        places = len(self.vectors)
        inputs = embedded.new_zeros(count, places + length, width)
        inputs[:, :places] = self.vectors
        inputs[:, places:] = embedded
        longer = mask.new_ones(count, places + length)
        longer[:, places:] = mask
        return inputs, longer
