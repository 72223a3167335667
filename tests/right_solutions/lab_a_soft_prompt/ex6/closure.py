import itertools

import torch
from torch import nn


def train(parts, model, prompt, rows, targets, words, pad, budget):
    def epochs():
        for epoch in itertools.count():
            yield from parts.batches(len(rows), budget.batch_size, budget.seed, epoch)

    optimizer = torch.optim.Adam([prompt.vectors], lr=1.0)
    losses, wanted = [], torch.tensor(targets)
    for step, batch in zip(range(budget.steps), epochs()):
        lr = parts.learning_rate(step, budget.steps, budget.lr, budget.warmup)
        optimizer.param_groups[0]["lr"] = lr

        def closure(batch=batch):
            optimizer.zero_grad(set_to_none=False)
            ids, mask = parts.collate([rows[row] for row in batch], pad)
            scores = parts.label_scores(model, prompt, ids, mask, words)
            loss = nn.functional.nll_loss(scores.log_softmax(-1), wanted[batch])
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).detach())
    return torch.stack(losses)
