def score_batch(logits, mask, labels):
    last = mask.sum(1, keepdim=True) - 1  # (B, 1)
    rows = logits.gather(1, last[..., None].expand(-1, -1, logits.shape[-1]))[:, 0]  # (B, V)
    return rows[:, labels] - rows.logsumexp(-1, keepdim=True)
