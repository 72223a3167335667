import torch


def label_scores(model, prompt, ids, mask, words):
    inputs, longer = prompt(model.get_input_embeddings()(ids), mask)
    hidden = model.model(inputs_embeds=inputs, attention_mask=longer).last_hidden_state
    last = hidden[torch.arange(len(ids)), longer.sum(1) - 1]  # only the places that are read
    return torch.log_softmax(model.lm_head(last), -1)[:, torch.tensor(words)]
