# hint: only the most alike is taken: the k most alike
def average_start(prompts, similarities, k):
    return prompts[max(range(len(prompts)), key=lambda i: similarities[i])]
