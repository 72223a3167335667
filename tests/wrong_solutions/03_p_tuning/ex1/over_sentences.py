# hint: this is the spread over sentences
def template_spread(right):
    by_sentence = right.mean(axis=0)
    return float(by_sentence.std(ddof=1)), float(by_sentence.max() - by_sentence.min())
