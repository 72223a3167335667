# hint: nothing comes back (None)
def lstm_step(x, h, m, w_x, w_h, bias):
    i, f, g, o = (w_x @ x + w_h @ h + bias).chunk(4)
    new = f.sigmoid() * m + i.sigmoid() * g.tanh()
    out = o.sigmoid() * new.tanh()
