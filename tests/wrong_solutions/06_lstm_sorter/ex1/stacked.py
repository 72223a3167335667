# hint: the four parts are interleaved: they stand below one another, one after the other
def lstm_step(x, h, m, w_x, w_h, bias):
    i, f, g, o = (w_x @ x + w_h @ h + bias).reshape(-1, 4).T
    new = f.sigmoid() * m + i.sigmoid() * g.tanh()
    return o.sigmoid() * new.tanh(), new
