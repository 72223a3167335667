# hint: nearest changes its argument `table`: work on a copy, the caller needs it as it was
def nearest(table, vectors, k):
    table /= table.norm(dim=-1, keepdim=True)
    vectors /= vectors.norm(dim=-1, keepdim=True)
    return (vectors @ table.T).topk(k).indices
