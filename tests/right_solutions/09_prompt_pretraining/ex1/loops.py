def few_shot_gain(better, worse):
    draws, sentences = len(better), len(better[0])
    d = [[int(b) - int(w) for b, w in zip(*rows)] for rows in zip(better, worse)]
    by_draw = [sum(row) / sentences for row in d]
    by_sentence = [sum(column) / draws for column in zip(*d)]

    def squared_error(means):
        middle = sum(means) / len(means)
        return sum((x - middle) ** 2 for x in means) / (len(means) - 1) / len(means)

    half = 1.96 * (squared_error(by_draw) + squared_error(by_sentence)) ** 0.5
    mean = sum(by_draw) / draws
    return mean, mean - half, mean + half
