# hint: Benjamini and Yekutieli
from scipy import stats


def discoveries(p_values, rate):
    return stats.false_discovery_control(p_values, method="by") <= rate
