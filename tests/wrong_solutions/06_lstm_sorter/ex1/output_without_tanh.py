# hint: the tanh is missing
import torch


def lstm_step(step_input, hidden, memory, w_input, w_hidden, bias):
    gates = w_input @ step_input + w_hidden @ hidden + bias
    i, f, g, o = gates.chunk(4)
    new_memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * new_memory, new_memory
