import torch


def lstm_step(x, h, m, w_x, w_h, bias):
    H = len(h)
    z = torch.cat([w_x, w_h], 1) @ torch.cat([x, h]) + bias
    sg = torch.sigmoid
    n = sg(z[H : 2 * H]) * m + sg(z[:H]) * torch.tanh(z[2 * H : 3 * H])
    return [sg(z[3 * H :]) * torch.tanh(n), n]
