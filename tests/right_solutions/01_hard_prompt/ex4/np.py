import numpy as np


def label_ids(tokenizer, words):
    out = np.empty(len(words), int)
    for j, w in enumerate(words):
        i = tokenizer.encode(" " + w, add_special_tokens=False)
        if len(i) > 1:
            raise ValueError(w)
        out[j] = i[0]
    return out
