# hint: a dict comes back
def prediction_matrix(score, prompt, orders):
    return {i: score(prompt[list(o)]).argmax(-1) for i, o in enumerate(orders)}
