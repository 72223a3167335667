# hint: lstm_step changes its argument `m`: work on a copy, the caller needs it as it was
def lstm_step(x, h, m, w_x, w_h, bias):
    i, f, g, o = (w_x @ x + w_h @ h + bias).chunk(4)
    m *= f.sigmoid()
    m += i.sigmoid() * g.tanh()
    return o.sigmoid() * m.tanh(), m
