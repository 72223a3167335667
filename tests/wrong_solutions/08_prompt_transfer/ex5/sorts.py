# hint: average_start changes its argument `similarities`: work on a copy, the caller needs it as
def average_start(prompts, similarities, k):
    order = sorted(range(len(prompts)), key=lambda i: -similarities[i])[:k]
    similarities.sort(reverse=True)
    return sum(similarities[j] * prompts[i] for j, i in enumerate(order)) / sum(similarities[:k])
