# hint: read at the last column


def label_scores(model, prompt, ids, mask, words):
    inputs, longer = prompt(model.get_input_embeddings()(ids), mask)
    logits = model(inputs_embeds=inputs, attention_mask=longer).logits
    rows = logits[:, -1]
    return rows.log_softmax(-1)[:, words]
