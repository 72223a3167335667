# hint: average_start changes its argument `prompts`: work on a copy, the caller needs it as it wa
def average_start(prompts, similarities, k):
    order = sorted(range(len(prompts)), key=lambda i: -similarities[i])[:k]
    out = prompts[order[0]]
    out *= similarities[order[0]]
    for i in order[1:]:
        out += similarities[i] * prompts[i]
    return out / sum(similarities[i] for i in order)
