# hint: a label is '0', a text
import random

import numpy as np


def split(sentences, labels, share, seed):
    rows = np.array([sentences, labels]).T  # one array for both: all of it becomes text
    distinct = sorted(set(sentences))
    random.Random(seed).shuffle(distinct)
    held = set(distinct[: round(share * len(distinct))])
    train = [tuple(row) for row in rows if row[0] not in held]
    return train, [tuple(row) for row in rows if row[0] in held]
