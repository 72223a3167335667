# hint: at non-singleton dimension
def lstm_step(x, h, m, w_x, w_h, bias):
    z = w_x @ x + w_h @ h + bias
    i, f, g, o = z[0:2], z[2:4], z[4:6], z[6:8]
    new = f.sigmoid() * m + i.sigmoid() * g.tanh()
    return o.sigmoid() * new.tanh(), new
