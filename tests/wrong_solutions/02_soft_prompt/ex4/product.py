# hint: favour long vectors
def nearest(table, vectors, k):
    return (vectors @ table.T).topk(k).indices
