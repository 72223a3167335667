# hint: each step adds its gradient
import torch
from torch.nn import functional as F


def train(parts, model, prompt, rows, targets, words, pad, budget):
    optimizer = torch.optim.Adam(prompt.parameters(), lr=budget.lr)
    losses, epoch, waiting = [], 0, []
    for step in range(budget.steps):
        if not waiting:
            waiting = parts.batches(len(rows), budget.batch_size, budget.seed, epoch)
            epoch += 1
        batch, waiting = waiting[0], waiting[1:]
        ids, mask = parts.collate([rows[row] for row in batch], pad)
        scores = parts.label_scores(model, prompt, ids, mask, words)
        loss = F.cross_entropy(scores, torch.tensor([targets[row] for row in batch]))
        loss.backward()
        optimizer.param_groups[0]["lr"] = parts.learning_rate(
            step, budget.steps, budget.lr, budget.warmup
        )
        optimizer.step()
        losses.append(loss.item())
    return losses
