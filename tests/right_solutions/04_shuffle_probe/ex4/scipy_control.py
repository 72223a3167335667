import torch
from scipy import stats


def discoveries(p_values, rate):
    return torch.tensor(stats.false_discovery_control(p_values) <= rate)
