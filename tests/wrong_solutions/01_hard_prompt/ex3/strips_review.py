# hint: the review's own white space has changed
def fill(template, text):
    return template.partition("{mask}")[0].removesuffix(" ").replace("{text}", text.strip())
