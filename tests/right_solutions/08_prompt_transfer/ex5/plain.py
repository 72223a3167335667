def average_start(prompts, similarities, k):
    best = sorted(zip(similarities, range(len(prompts))), reverse=True)[:k]
    return sum(s * prompts[i] for s, i in best) / sum(s for s, _ in best)
