import numpy as np


def content_share(content, added):
    content, added = np.asarray(content), np.asarray(added)
    return float(np.var(content) / np.var(content + added))
