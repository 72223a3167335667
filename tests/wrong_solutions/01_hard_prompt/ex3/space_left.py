# hint: ends in a space
def fill(template, text):
    return template.partition("{mask}")[0].replace("{text}", text)
