# hint: is no JSON (Invalid \escape
from safetensors.torch import save_file


def save_prompt(vectors, folder, base_model):
    folder.mkdir(parents=True, exist_ok=True)
    rows = vectors.detach().contiguous()
    save_file({"prompt_embeddings": rows}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", '
        f'"num_virtual_tokens": {len(rows)}, "token_dim": {rows.shape[1]}, '
        f'"base_model_name_or_path": "{base_model}"}}',
        "utf-8",
    )
