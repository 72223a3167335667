import itertools

import torch


def predict(parts, model, prompt, rows, words, pad, size):
    """Texts of about the same length come together, in batches that need not be full."""
    classes = [None] * len(rows)
    by_length = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    with torch.inference_mode():
        for _, alike in itertools.groupby(by_length, key=lambda row: len(rows[row]) // 4):
            while batch := list(itertools.islice(alike, size)):
                ids, mask = parts.collate(rows=[rows[row] for row in batch], pad=pad)
                scores = parts.label_scores(model, prompt, ids, mask, words)
                for row, best in zip(batch, scores.numpy().argmax(1)):
                    classes[row] = best
    return classes
