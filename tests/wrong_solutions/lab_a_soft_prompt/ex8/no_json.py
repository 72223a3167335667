# hint: is no JSON (Expecting property name
from safetensors.torch import save_file


def save_prompt(vectors, folder, base_model):
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {"prompt_embeddings": vectors.detach().contiguous()}
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "PROMPT_TUNING",
        "task_type": "CAUSAL_LM",
        "num_virtual_tokens": len(vectors),
        "token_dim": vectors.shape[1],
        "base_model_name_or_path": base_model,
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(str(config))
