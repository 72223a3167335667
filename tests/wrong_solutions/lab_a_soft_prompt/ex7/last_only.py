# hint: only the last batch comes back
import torch


def predict(parts, model, prompt, rows, words, pad, size):
    labels = []
    with torch.no_grad():
        for start in range(0, len(rows), size):
            ids, mask = parts.collate(rows[start : start + size], pad)
            scores = parts.label_scores(model, prompt, ids, mask, words)
            labels = scores.argmax(1).tolist()
    return labels
