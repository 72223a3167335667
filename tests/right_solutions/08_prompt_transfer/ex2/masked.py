import numpy as np


def share_kept(values, own, controls, fair):
    gains = np.ma.masked_array(values - controls.max(0), ~fair).mean(axis=0)
    gained = np.ma.masked_array(own - controls.max(0), mask=np.ma.getmaskarray(gains))
    return float(gains[gained > 0].sum() / gained[gained > 0].sum())
