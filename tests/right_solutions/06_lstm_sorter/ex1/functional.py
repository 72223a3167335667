import torch


def lstm_step(step_input, hidden, memory, w_input, w_hidden, bias):
    cell = torch.nn.LSTMCell(len(step_input), len(hidden)).to(step_input)
    with torch.no_grad():
        cell.weight_ih.copy_(w_input)
        cell.weight_hh.copy_(w_hidden)
        cell.bias_ih.copy_(bias)
        cell.bias_hh.zero_()
    new_hidden, new_memory = cell(step_input[None], (hidden[None], memory[None]))
    return new_hidden[0], new_memory[0]
