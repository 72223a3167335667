import numpy as np


def lstm_step(x, h, m, w_x, w_h, bias):
    z = (w_x @ x + w_h @ h + bias).numpy().reshape(4, -1)
    s = lambda v: 1 / (1 + np.exp(-v))
    n = s(z[1]) * m.numpy() + s(z[0]) * np.tanh(z[2])
    return s(z[3]) * np.tanh(n), n
