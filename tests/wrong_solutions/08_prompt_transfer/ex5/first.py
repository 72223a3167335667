# hint: the first k prompts
def average_start(prompts, similarities, k):
    total = sum(similarities[:k])
    return sum(p * s for p, s in zip(prompts[:k], similarities[:k], strict=False)) / total
