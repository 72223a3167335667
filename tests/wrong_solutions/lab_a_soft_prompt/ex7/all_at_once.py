# hint: a whole split fits into no memory
import torch


def predict(parts, model, prompt, rows, words, pad, size):
    with torch.no_grad():
        ids, mask = parts.collate(rows, pad)
        return parts.label_scores(model, prompt, ids, mask, words).argmax(1).tolist()
