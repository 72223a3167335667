import torch
from torch import nn


def train(parts, model, prompt, rows, targets, words, pad, budget):
    adam = torch.optim.Adam([prompt.vectors])
    per_epoch = -(-len(rows) // budget.batch_size)
    labels = torch.tensor(targets)
    losses = []
    for step in range(budget.steps):
        epoch, place = divmod(step, per_epoch)
        chosen = parts.batches(len(rows), budget.batch_size, budget.seed, epoch)[place]
        for group in adam.param_groups:
            group["lr"] = parts.learning_rate(step, budget.steps, budget.lr, budget.warmup)
        ids, mask = parts.collate([rows[i] for i in chosen], pad)
        scores = parts.label_scores(model, prompt, ids, mask, words)
        loss = nn.functional.nll_loss(scores.log_softmax(-1), labels[chosen])
        prompt.vectors.grad = None
        loss.backward()
        adam.step()
        losses.append(float(loss.detach()))
    return losses
