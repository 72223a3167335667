# hint: the review is put in as a pattern: re.sub reads its backslashes
import re


def fill(template, text):
    return re.sub("{text}", text, template.split("{mask}")[0].rstrip(" "))
