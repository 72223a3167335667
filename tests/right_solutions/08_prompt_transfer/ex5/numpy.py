import numpy as np


def average_start(prompts, similarities, k):
    i = np.argsort(similarities)[-k:]
    return np.average([prompts[j].numpy() for j in i], axis=0, weights=[similarities[j] for j in i])
