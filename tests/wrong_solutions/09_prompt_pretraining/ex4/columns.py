# hint: whichever label they have
def surest(scores, k):
    p = scores.softmax(-1)
    return [
        (row, label)
        for label in range(p.shape[1])
        for row in p[:, label].topk(min(k, len(p))).indices.tolist()
    ]
