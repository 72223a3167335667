# hint: replace the text last
def fill(template, text):
    return template.replace("{text}", text).split("{")[0].removesuffix(" ")
