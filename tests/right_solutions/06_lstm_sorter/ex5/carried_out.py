import torch


def swap_changes(vectors, gradient):
    count = len(vectors)
    changes = torch.zeros(count, count)
    for i in range(count):
        for j in range(i):
            order = list(range(count))
            order[i], order[j] = j, i
            changes[i, j] = changes[j, i] = ((vectors[order] - vectors) * gradient).sum()
    return changes
