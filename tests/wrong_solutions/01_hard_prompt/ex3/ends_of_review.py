# hint: spaces at the review's own end are gone
def fill(template, text):
    before, _, _ = template.partition("{mask}")
    return before.replace("{text}", text).rstrip(" ")
