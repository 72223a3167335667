import torch


def prediction_matrix(score, prompt, orders):
    shuffled = prompt.index_select(0, torch.tensor(orders).flatten())
    prompts = shuffled.view(len(orders), *prompt.shape)
    return torch.stack([score(one) for one in prompts]).argmax(-1)
