# hint: scored one at a time
import torch


@torch.no_grad()
def predict(parts, model, prompt, rows, words, pad, size):
    classes = []
    for row in rows:
        ids, mask = parts.collate([row], pad)
        classes += parts.label_scores(model, prompt, ids, mask, words).argmax(1).tolist()
    return classes
