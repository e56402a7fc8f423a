"""Exports a sentence-transformers folder of a BERT with mean pooling to ONNX: `encode_export.py MODEL_FOLDER FILE.onnx`.

Pooling and normalisation are part of the graph. Needs torch, transformers, onnx and onnxscript.
"""

import sys

import torch
import transformers


class Sentence(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def main():
    folder, file = sys.argv[1:3]
    model = transformers.AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ids = torch.ones(2, 16, dtype=torch.long)
    axes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens")}
    torch.onnx.export(
        Sentence(model),
        (ids, ids),
        file,
        dynamo=True,
        opset_version=18,
        input_names=["input_ids", "attention_mask"],
        output_names=["vectors"],
        dynamic_shapes={"input_ids": axes, "attention_mask": axes},
    )


if __name__ == "__main__":
    main()
