import itertools

import torch


def train(parts, model, prompt, rows, targets, words, pad, budget):
    def all_batches():
        for epoch in itertools.count():
            yield from parts.batches(len(rows), budget.batch_size, budget.seed, epoch)

    adam = torch.optim.Adam(prompt.parameters(), lr=1.0)
    rates = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: parts.learning_rate(step, budget.steps, budget.lr, budget.warmup)
    )
    losses = []
    for batch in itertools.islice(all_batches(), budget.steps):
        ids, mask = parts.collate([rows[i] for i in batch], pad)
        scores = parts.label_scores(model, prompt, ids, mask, words)
        right = torch.tensor([targets[i] for i in batch])
        loss = (scores.logsumexp(-1) - scores.gather(1, right[:, None])[:, 0]).mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        rates.step()
        losses.append(loss.detach())
    return torch.stack(losses)
