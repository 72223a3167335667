import torch


def predict(parts, model, prompt, rows, words, pad, size):
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), size):
            ids, mask = parts.collate(rows[start : start + size], pad)
            found.append(parts.label_scores(model, prompt, ids, mask, words))
    return torch.cat(found).max(1).indices
