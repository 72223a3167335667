import json
import os

import numpy as np
from safetensors.numpy import save_file


def save_prompt(vectors, folder, base_model):
    os.makedirs(folder, exist_ok=True)
    rows = np.ascontiguousarray(vectors.detach().numpy())
    save_file({"prompt_embeddings": rows}, os.path.join(folder, "adapter_model.safetensors"))
    config = dict(peft_type="PROMPT_TUNING", task_type="CAUSAL_LM", num_virtual_tokens=len(rows))
    config |= dict(token_dim=rows.shape[1], base_model_name_or_path=base_model)
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump(config, file, indent=2)
