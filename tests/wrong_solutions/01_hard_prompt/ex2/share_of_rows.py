# hint: is that of the distinct sentences, not of the rows
import random
from collections import Counter


def split(sentences, labels, share, seed):
    counts = Counter(sentences)
    distinct = sorted(counts)
    random.Random(seed).shuffle(distinct)
    held_out, size = set(), 0
    while size < share * len(sentences):
        sentence = distinct.pop()
        held_out.add(sentence)
        size += counts[sentence]
    rows = list(zip(sentences, labels))
    return [r for r in rows if r[0] not in held_out], [r for r in rows if r[0] in held_out]
