# hint: W_h is multiplied with the memory: with the hidden state
def lstm_step(x, h, m, w_x, w_h, bias):
    i, f, g, o = (w_x @ x + w_h @ m + bias).chunk(4)
    new = f.sigmoid() * m + i.sigmoid() * g.tanh()
    return o.sigmoid() * new.tanh(), new
