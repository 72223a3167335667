def average_start(prompts, similarities, k):
    ranked = sorted(zip(similarities, range(len(prompts)), strict=False), reverse=True)[:k]
    total = sum(value for value, _ in ranked)
    return sum(prompts[i] * (value / total) for value, i in ranked)
