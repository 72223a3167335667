# hint: a list comes back
def fill(template, text):
    return [template.partition("{mask}")[0].removesuffix(" ").replace("{text}", text)]
