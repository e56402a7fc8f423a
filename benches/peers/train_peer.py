"""The other side of the benchmark `train`: PyTorch, with PEFT for LoRA.

Started by benches/train.rs as `train_peer.py torch MODEL_FOLDER THREADS WORK`. Reads one JSON object per line: {"what":
"step"} does a step of training and answers with seconds and processor seconds (user and system, all threads); {"what":
"peak"} answers with the peak of the process's memory and what it was before the model, in MB. Its first line names versions.
Versions used: see benches/record/.
"""

import importlib.metadata
import json
import os
import resource
import sys
import time

LLAMA = (4, 256)
MINILM = (16, 128)
VOCABULARY = 49152


def main():
    kind, folder, threads, work = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    if kind != "torch":
        sys.exit(f"no peer {kind}")
    import torch
    import transformers

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    packages = ["torch", "transformers"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if work == "minilm":
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
        pairs, tokens = MINILM
        number = torch.arange(2 * pairs * tokens).reshape(2 * pairs, tokens)
        ids = 1000 + number * 7919 % 20_000

        def loss():
            hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
            vectors = torch.nn.functional.normalize(hidden.mean(1), dim=1)
            scores = 20 * vectors[0::2] @ vectors[1::2].T
            return torch.nn.functional.cross_entropy(scores, torch.arange(pairs))

    else:
        model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if work.startswith("lora"):
            import peft

            packages.append("peft")
            targets = ["q_proj", "v_proj"] if work == "lora-qv" else "all-linear"
            config = peft.LoraConfig(r=8, lora_alpha=16, target_modules=targets, task_type="CAUSAL_LM")
            model = peft.get_peft_model(model, config)
        texts, tokens = LLAMA
        number = torch.arange(texts * tokens).reshape(texts, tokens)
        ids = (number * 7919 + 13) % VOCABULARY

        def loss():
            return model(input_ids=ids, labels=ids, use_cache=False).loss

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # the other side computes without
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-5, weight_decay=0.0)
    print(", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if order["what"] == "peak":
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(peak / 1e3, before / 1e3, flush=True)
            continue
        start, used = time.perf_counter(), os.times()
        value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        after = os.times()
        processor = after.user - used.user + after.system - used.system
        print(time.perf_counter() - start, processor, flush=True)


if __name__ == "__main__":
    main()
