# hint: torch.set_grad_enabled
import torch


def predict(parts, model, prompt, rows, words, pad, size):
    classes = []
    torch.set_grad_enabled(False)
    for begin in range(0, len(rows), size):
        ids, mask = parts.collate(rows[begin : begin + size], pad)
        classes += parts.label_scores(model, prompt, ids, mask, words).argmax(1).tolist()
    return classes
