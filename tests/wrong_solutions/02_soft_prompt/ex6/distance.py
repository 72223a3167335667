# hint: near by distance, and yet not by cosine
import torch


def keep_nearest(rows, ids, table):
    words, back = table[ids], rows.clone()
    while (left := torch.cdist(back, table).argmin(1) != ids).any():
        back[left] = (back[left] + words[left]) / 2
    return back
