# hint: do it inside torch.no_grad()
def predict(parts, model, prompt, rows, words, pad, size):
    labels = []
    for start in range(0, len(rows), size):
        ids, mask = parts.collate(rows[start : start + size], pad)
        labels += parts.label_scores(model, prompt, ids, mask, words).argmax(1).tolist()
    return labels
