# hint: another id than `pad`
import torch
from torch import nn


def train(parts, model, prompt, rows, targets, words, pad, budget):
    optimizer, losses, epoch = torch.optim.Adam(prompt.parameters()), [], 0
    while len(losses) < budget.steps:
        batches = parts.batches(len(rows), budget.batch_size, budget.seed, epoch)
        for batch in batches[: budget.steps - len(losses)]:
            ids, mask = parts.collate([rows[row] for row in batch], 0)
            scores = parts.label_scores(model, prompt, ids, mask, words)
            loss = nn.functional.cross_entropy(scores, torch.tensor([targets[r] for r in batch]))
            optimizer.zero_grad()
            loss.backward()
            rate = parts.learning_rate(len(losses), budget.steps, budget.lr, budget.warmup)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            losses.append(loss.item())
        epoch += 1
    return losses
