"""The other side of the benchmark `decode`: a llama in transformers on PyTorch.

Started by benches/decode.rs as `decode_peer.py torch MODEL_FOLDER THREADS`. Reads one JSON object per line: {"what":
"decode" or "prefill", "passes": n} decodes n tokens one after another behind a prompt of 32, or runs a prompt of n tokens.
Answers with one line: seconds, then processor seconds (user and system, all threads). Its first line names versions.
Versions used: see benches/record/.
"""

import importlib.metadata
import json
import os
import sys
import time

PROMPT = 32
VOCABULARY = 49152


def token(index):
    return (index * 7919 + 13) % VOCABULARY


def main():
    kind, folder, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind != "torch":
        sys.exit(f"no peer {kind}")
    import torch
    import transformers

    torch.set_num_threads(threads)
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    packages = ["torch", "transformers"]
    print(", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages), flush=True)

    def step(ids, cache):
        output = model(
            input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        int(output.logits[0, -1].argmax())
        return output.past_key_values

    for line in sys.stdin:
        order = json.loads(line)
        count = order["passes"]
        with torch.inference_mode():
            cache = None
            if order["what"] == "decode":
                cache = step([token(i) for i in range(PROMPT)], None)
            start, before = time.perf_counter(), os.times()
            if order["what"] == "decode":
                for index in range(count):
                    cache = step([token(PROMPT + index)], cache)
            else:
                step([token(i) for i in range(count)], None)
            after = os.times()
        processor = after.user - before.user + after.system - before.system
        print(time.perf_counter() - start, processor, flush=True)


if __name__ == "__main__":
    main()
