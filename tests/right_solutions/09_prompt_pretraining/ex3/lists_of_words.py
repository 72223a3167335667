import re


def without_test(text, test):
    def words(sentence):
        return re.findall(r"\w+", sentence.lower())

    def stands_in(short, long):
        return any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))

    def is_known(sentence):
        own = words(sentence)
        return any(stands_in(own, words(t)) or stands_in(words(t), own) for t in test)

    found = {}
    for name in text:
        rows = [row for row in text[name] if not is_known(row[1])]
        if len(rows) > 0:
            found[name] = rows
    return found
