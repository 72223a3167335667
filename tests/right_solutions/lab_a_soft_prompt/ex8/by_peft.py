from peft import PromptTuningConfig
from safetensors.torch import save_file


def save_prompt(vectors, folder, base_model):
    PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=vectors.shape[0],
        token_dim=vectors.shape[1],
        base_model_name_or_path=base_model,
    ).save_pretrained(str(folder))
    tensors = {"prompt_embeddings": vectors.detach().clone().contiguous()}
    save_file(tensors, f"{folder}/adapter_model.safetensors")
