def nearest(table, vectors, k):
    t, v = table.double(), vectors.double()
    return ((v @ t.T) / t.norm(dim=1)).argsort(descending=True)[:, :k].int()
