import torch


def predict(parts, model, prompt, rows, words, pad, size):
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    labels = [0] * len(rows)
    with torch.inference_mode():
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            ids, mask = parts.collate([rows[row] for row in batch], pad)
            scores = parts.label_scores(model, prompt, ids, mask, words)
            for row, label in zip(batch, scores.argmax(-1)):
                labels[row] = int(label)
    return labels
