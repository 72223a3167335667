# hint: equally alike one is lost
def average_start(prompts, similarities, k):
    known = dict(zip(similarities, prompts))
    best = sorted(known, reverse=True)[:k]
    return sum(s * known[s] for s in best) / sum(best)
