# hint: the weights are the first k similarities, not those of the chosen prompts
def average_start(prompts, similarities, k):
    order = sorted(range(len(prompts)), key=lambda i: -similarities[i])[:k]
    return sum(similarities[j] * prompts[i] for j, i in enumerate(order)) / sum(similarities[:k])
