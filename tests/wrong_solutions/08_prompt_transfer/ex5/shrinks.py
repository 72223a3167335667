# hint: divide by their sum
def average_start(prompts, similarities, k):
    ranked = sorted(zip(similarities, range(len(prompts)), strict=False), reverse=True)[:k]
    return sum(prompts[i] * value for value, i in ranked)
