# hint: a review that mentions {text} is filled once more
def fill(template, text):
    before = template.partition("{mask}")[0].removesuffix(" ")
    for _ in range(before.count("{text}")):
        before = before.replace("{text}", text, 1)
    return before
