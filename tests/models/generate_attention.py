#!/usr/bin/env python3
"""Makes the small attention graphs in tests/models/attention, as exporters spell them, and the README there.

    pip install torch transformers onnx onnxscript onnxruntime
    python tests/models/generate_attention.py

Weights are random, from a fixed seed; the exporters decide about the rest, so that another version of theirs gives other
bytes. tests/attention.rs runs each as it is and with its attention fused, and compares.
"""

import importlib.machinery
import importlib.util
import math
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
OUT = HERE / "attention"
DIM, HEADS = 16, 2
ROWS = []


def make_vits():
    path = str(HERE.parent.parent / "scripts" / "make-vits")
    loader = importlib.machinery.SourceFileLoader("make_vits", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_vits", loader))
    loader.exec_module(module)
    return module


class Block(nn.Module):
    """A residual attention block; `form` is how it is written."""

    def __init__(self, form):
        super().__init__()
        self.form = form
        self.norm = nn.LayerNorm(DIM)
        self.qkv = nn.Linear(DIM, 3 * DIM)
        self.proj = nn.Linear(DIM, DIM)
        self.scale = (DIM // HEADS) ** -0.5
        # so that the softmax has something to choose from
        nn.init.normal_(self.qkv.weight, std=0.6)

    def forward(self, x):
        return x + self.proj(getattr(self, self.form)(self.norm(x)))

    def split(self, x):
        b, n, _ = x.shape
        return self.qkv(x).reshape(b, n, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4)

    def original(self, x):
        """DINOv2's own: one projection, scaled queries."""
        qkv = self.split(x)
        q, k, v = qkv[0] * self.scale, qkv[1], qkv[2]
        weights = (q @ k.transpose(-2, -1)).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).reshape(x.shape)

    def unbound(self, x):
        """timm's: unbind, sdpa."""
        q, k, v = self.split(x).unbind(0)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)

    def divided(self, x):
        """Older transformers': three views, scores divided."""
        b, n, _ = x.shape
        q, k, v = (
            part.view(b, n, HEADS, DIM // HEADS).permute(0, 2, 1, 3) for part in self.qkv(x).chunk(3, dim=-1)
        )
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(DIM // HEADS)
        weights = F.dropout(F.softmax(scores, dim=-1), 0.1, self.training)
        return torch.matmul(weights, v).permute(0, 2, 1, 3).reshape(b, n, DIM)

    def folded(self, x):
        """Heads folded into the batch, as torch's own multi-head attention has it."""
        b, n, _ = x.shape
        q, k, v = (
            part.reshape(b, n, HEADS, DIM // HEADS).transpose(1, 2).reshape(b * HEADS, n, DIM // HEADS)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        weights = torch.bmm(q * self.scale, k.transpose(1, 2)).softmax(dim=-1)
        out = torch.bmm(weights, v).reshape(b, HEADS, n, DIM // HEADS)
        return out.transpose(1, 2).reshape(b, n, DIM)

    def upcast(self, x):
        """Half precision with its softmax in single."""
        qkv = self.split(x)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = q @ k.transpose(-2, -1) * self.scale
        weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype)
        return (weights @ v).transpose(1, 2).reshape(x.shape)

    def masked(self, x):
        qkv = self.split(x)
        n = x.shape[1]
        distance = (torch.arange(n)[None] - torch.arange(n)[:, None]).abs().to(x.dtype)
        weights = (qkv[0] @ qkv[1].transpose(-2, -1) * self.scale - distance).softmax(dim=-1)
        return (weights @ qkv[2]).transpose(1, 2).reshape(x.shape)


class Tokens(nn.Module):
    def __init__(self, form, blocks=2):
        super().__init__()
        self.blocks = nn.ModuleList(Block(form) for _ in range(blocks))

    def forward(self, tokens):
        for block in self.blocks:
            tokens = block(tokens)
        return tokens


def export(name, network, example, attentions, stands_for, *, opset=17, dynamo=False, static=False):
    path = OUT / f"{name}.onnx"
    options = {}
    image = example.dim() == 4
    names = {0: "batch", 2: "height", 3: "width"} if image else {0: "batch", 1: "tokens"}
    if not static and not dynamo:
        options["dynamic_axes"] = {"input": names}
    if not static and dynamo:
        dim = torch.export.Dim
        sides = {
            "batch": dim.DYNAMIC,
            "tokens": dim.DYNAMIC,
            "height": dim.DYNAMIC,
            "width": dim.DYNAMIC,
        }
        options["dynamic_shapes"] = [{axis: sides[side] for axis, side in names.items()}]
    with torch.no_grad():
        torch.onnx.export(
            network.eval(),
            (example,),
            path,
            input_names=["input"],
            output_names=["output"],
            opset_version=opset,
            dynamo=dynamo,
            **(dict(external_data=False, verbose=False) if dynamo else {}),
            **options,
        )
    strip(path)
    row(name, attentions, stands_for)


def strip(path):
    """Takes out where in which file each node came from."""
    model = onnx.load(path)
    model.producer_version = ""
    del model.metadata_props[:]
    for graph in [model.graph, *model.functions]:
        del graph.metadata_props[:]
        for node in graph.node:
            del node.metadata_props[:]
            node.doc_string = ""
    for info in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del info.metadata_props[:]
    onnx.save(model, path)


def row(name, attentions, stands_for):
    ROWS.append((name, attentions, stands_for))
    print(name, (OUT / f"{name}.onnx").stat().st_size, file=sys.stderr)


def optimized(name, source, attentions, stands_for):
    """As ONNX Runtime saves a graph after its own optimisation."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(OUT / f"{name}.onnx")
    onnxruntime.InferenceSession(OUT / f"{source}.onnx", options, providers=["CPUExecutionProvider"])
    row(name, attentions, stands_for)


def main():
    warnings.filterwarnings("ignore")
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(1)
    tokens = torch.randn(2, 11, DIM)
    export("dinov2", Tokens("original"), tokens, 2, "DINOv2's own code: one projection for q, k and v, q scaled")
    export("dinov2-opset11", Tokens("original"), tokens, 2, "the same for opset 11, where Softmax flattens", opset=11)
    export("dinov2-static", Tokens("original"), tokens[:1], 2, "the same with fixed sides", static=True)
    export("dinov2-dynamo", Tokens("original"), tokens, 2, "the same from TorchDynamo's exporter", opset=18, dynamo=True)
    export("sdpa", Tokens("unbound"), tokens, 2, "scaled_dot_product_attention: q and k scaled by computed numbers")
    export("sdpa-dynamo", Tokens("unbound"), tokens, 2, "the same from TorchDynamo's exporter", opset=18, dynamo=True)
    export("attention-23", Tokens("unbound"), tokens, 0, "the same for opset 23: one Attention already", opset=23, dynamo=True)
    export("divided", Tokens("divided"), tokens, 2, "scores divided, as in older transformers")
    export("folded", Tokens("folded"), tokens, 2, "rank 3: heads folded into the batch")
    export("upcast", Tokens("upcast").half(), tokens.half(), 2, "half precision, the softmax between casts to single")
    export("masked", Tokens("masked"), tokens, 0, "a bias is added to the scores: left alone")
    optimized("optimized", "divided", 2, "saved by ONNX Runtime after optimisation: FusedMatMul scales and transposes")
    vits = make_vits()
    image = torch.rand(1, 3, 56, 70)
    for attention in ["eager", "sdpa"]:
        network = vits.network("tiny", metric=False, seed=2, attention=attention)
        for parameter in network.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.2)
        name = f"transformers-{attention}"
        export(name, network, image, 4, f"transformers' DepthAnythingForDepthEstimation, {attention} attention")
        if attention == "sdpa":
            export(f"{name}-dynamo", network, image, 4, "the same from TorchDynamo's exporter", opset=18, dynamo=True)
    table = "".join(f"| `{name}.onnx` | {stands_for} | {count} |\n" for name, count, stands_for in ROWS)
    (OUT / "README.md").write_text(
        "# Attention as exporters spell it\n\n"
        "Made by `../generate_attention.py` (which also makes this page), with random weights: two blocks (transformers:\n"
        "four) of embedding width 16 and two heads each. Input `input`, tokens [N,T,16] or an image [N,3,H,W] with sides in multiples of 14.\n\n"
        "| file | stands for | attentions to fuse |\n|---|---|---|\n" + table
    )


if __name__ == "__main__":
    main()
