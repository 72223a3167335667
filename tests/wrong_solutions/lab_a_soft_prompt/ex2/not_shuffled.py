# hint: the rows are not shuffled
def batches(count, size, seed, epoch):
    order = list(range(count))
    return [order[i : i + size] for i in range(0, count, size)]
