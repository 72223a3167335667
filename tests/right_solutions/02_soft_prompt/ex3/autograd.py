import torch


def training_step(prompt, model, texts, targets, lr):
    inputs = torch.cat([prompt.repeat(len(texts), 1, 1), texts], dim=1)
    scores = model(inputs).log_softmax(dim=-1)
    loss = -scores[torch.arange(len(targets)), targets].mean()
    (gradient,) = torch.autograd.grad(loss, prompt)
    prompt.data.sub_(lr * gradient)
    return loss.item()
