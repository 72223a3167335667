import re


def fill(template, text):
    return re.sub(r"\{text\}", lambda m: text, re.match(r"(.*?) ?\{mask\}", template, re.S)[1])
