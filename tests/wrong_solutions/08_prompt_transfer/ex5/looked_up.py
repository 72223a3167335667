# hint: the first was taken twice
def average_start(prompts, similarities, k):
    best = sorted(similarities, reverse=True)[:k]
    return sum(s * prompts[similarities.index(s)] for s in best) / sum(best)
