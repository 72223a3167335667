# hint: white space in front is gone
def fill(template, text):
    return template.lstrip().partition("{mask}")[0].removesuffix(" ").replace("{text}", text)
