import torch


def label_ids(tokenizer, words):
    ids = [tokenizer(" " + w, add_special_tokens=False)["input_ids"] for w in words]
    if max(map(len, ids)) > 1:
        raise ValueError("pieces")
    return torch.tensor(ids)[:, 0]
