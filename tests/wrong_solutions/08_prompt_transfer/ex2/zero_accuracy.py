# hint: an accuracy of 0 is left out
import numpy as np


def share_kept(values, own, controls, fair):
    level = controls.max(0)
    table = np.where(fair & (values > 0), values, np.nan)
    kept = (own > level) & ~np.isnan(table).all(0)
    return (np.nanmean(table[:, kept], 0) - level[kept]).sum() / (own - level)[kept].sum()
