def content_share(content, added):
    return (content.std() / (content + added).std()).item() ** 2
