import torch


def label_scores(model, prompt, ids, mask, words):
    inputs, _ = prompt(model.get_input_embeddings()(ids), mask)
    logits = model(inputs_embeds=inputs).logits  # causal: what follows can't be seen
    found = []
    for row, length in zip(logits, mask.sum(1).tolist()):
        behind = row[inputs.shape[1] - ids.shape[1] + length - 1]
        found.append((behind - behind.logsumexp(0))[words])
    return torch.stack(found)
