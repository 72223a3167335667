import numpy as np


def nearest(table, vectors, k):
    t, v = table.numpy(), vectors.numpy()
    c = (v / np.linalg.norm(v, axis=1, keepdims=True)) @ (
        t / np.linalg.norm(t, axis=1, keepdims=True)
    ).T
    return np.argsort(-c, axis=1)[:, :k]
