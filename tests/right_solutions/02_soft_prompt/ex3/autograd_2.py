import torch


def training_step(prompt, model, texts, targets, lr):
    s = model(torch.cat([prompt[None].repeat(len(texts), 1, 1), texts], 1))
    loss = -s.log_softmax(-1)[range(len(targets)), targets].mean()
    (g,) = torch.autograd.grad(loss, [prompt])
    prompt.data.sub_(lr * g)
    return float(loss)
