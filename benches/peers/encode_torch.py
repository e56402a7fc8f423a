"""The PyTorch side of the benchmark `encode`: a BERT encoder of the given size with random weights.

Started by benches/encode.rs, which sends one line per round: the number of forward passes to do. Answers with one line:
seconds, then processor seconds (user and system, all threads). Versions: see benches/record/.
"""

import os
import sys
import time

import torch
import transformers


def main():
    texts, tokens, threads = (int(argument) for argument in sys.argv[1:4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    )
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    ids = torch.randint(0, config.vocab_size, (texts, tokens))
    mask = torch.ones_like(ids)
    attention = model.config._attn_implementation
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {attention}", flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            start, before = time.perf_counter(), os.times()
            for _ in range(int(line)):
                model(input_ids=ids, attention_mask=mask)
            after = os.times()
            processor = after.user - before.user + after.system - before.system
            print(time.perf_counter() - start, processor, flush=True)


if __name__ == "__main__":
    main()
