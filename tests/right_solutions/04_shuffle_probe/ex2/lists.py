def prediction_matrix(score, prompt, orders):
    return [score(prompt[o]).argmax(1).tolist() for o in orders]
