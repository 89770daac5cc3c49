"""Writes models as Hugging Face publishes them: names, shapes and orders are those of transformers' modeling files. What a
GGUF file says in another way is turned back here, apart from puna's converter. Standard library only."""
import array
import json
import math
import struct

TYPES = {"F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "U8": 1}


def write_safetensors(path, tensors, metadata=None):
    """tensors: {name: (type, shape, bytes)}"""
    header, at = {"__metadata__": metadata or {"format": "pt"}}, 0
    for name, (kind, shape, data) in tensors.items():
        assert len(data) == TYPES[kind] * math.prod(shape), name
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)


class Matrix:
    """Rows of float32; `shape` is the outermost dimension first."""

    def __init__(self, shape, values):
        self.shape, self.values = list(shape), array.array("f", values)

    @staticmethod
    def of(gguf, name):
        dims, kind, data = gguf.tensors[name]
        assert kind == 0, name
        return Matrix(dims[::-1], array.array("f", data))

    def rows(self):
        width = self.shape[-1] if len(self.shape) > 1 else 1
        return [self.values[i:i + width] for i in range(0, len(self.values), width)]

    def with_rows(self, rows):
        shape = [len(rows)] + ([len(rows[0])] if len(self.shape) > 1 else [])
        return Matrix(shape, [value for row in rows for value in row])

    def halves(self, heads):
        """Rotary pairs of neighbours become pairs of halves, which is how Llama's weights are published."""
        rows = self.rows()
        size = len(rows) // heads
        out = []
        for head in range(heads):
            part = rows[head * size:(head + 1) * size]
            out += part[0::2] + part[1::2]
        return self.with_rows(out)

    def minus_one(self):
        return Matrix(self.shape, [value - 1 for value in self.values])

    def part(self, i):
        """Matrix i of a stack."""
        size = math.prod(self.shape[1:])
        return Matrix(self.shape[1:], self.values[i * size:(i + 1) * size])

    def transposed(self):
        columns = list(zip(*self.rows()))
        return Matrix(self.shape[::-1], [value for column in columns for value in column])

    def stored(self):
        return "F32", self.shape, self.values.tobytes()


def joined(*matrices):
    return matrices[0].with_rows([row for matrix in matrices for row in matrix.rows()])


def stacked(matrices):
    return Matrix([len(matrices)] + matrices[0].shape, [value for matrix in matrices for value in matrix.values])


def interleaved(even, odd):
    return even.with_rows([row for pair in zip(even.rows(), odd.rows()) for row in pair])


class Source:
    """A GGUF oracle, and the checkpoint that is made of it."""

    def __init__(self, gguf):
        self.gguf, self.out = gguf, {}
        self.architecture = gguf.keys["general.architecture"][1]
        self.layers = self.key("block_count")
        self.heads = self.key("attention.head_count")
        self.kv_heads = self.key("attention.head_count_kv", self.heads)

    def key(self, name, absent=None):
        entry = self.gguf.keys.get(f"{self.architecture}.{name}")
        return absent if entry is None else entry[1]

    def has(self, name):
        return name in self.gguf.tensors

    def get(self, name):
        return Matrix.of(self.gguf, name)

    def put(self, name, gguf, change=lambda matrix: matrix):
        """Nothing where the oracle has no such tensor."""
        if self.has(gguf):
            self.out[name] = change(self.get(gguf)).stored()

    def decoder_config(self, name, **more):
        config = {"architectures": [name], "hidden_size": self.key("embedding_length"), "num_hidden_layers": self.layers,
                  "intermediate_size": self.key("feed_forward_length"), "num_attention_heads": self.heads,
                  "num_key_value_heads": self.kv_heads, "max_position_embeddings": self.key("context_length"),
                  "rms_norm_eps": self.key("attention.layer_norm_rms_epsilon"), "rope_theta": self.key("rope.freq_base", 10000.0),
                  "vocab_size": self.key("vocab_size"), "torch_dtype": "float32", "tie_word_embeddings": not self.has("output.weight")}
        if self.key("attention.sliding_window"):
            config["sliding_window"] = self.key("attention.sliding_window")
            config["sliding_window_pattern"] = self.key("attention.sliding_window_pattern")
        if self.key("expert_count"):
            config["num_experts_per_tok"] = self.key("expert_used_count")
        kind = self.key("rope.scaling.type")
        if kind:
            config["rope_scaling"] = {"rope_type": kind, "factor": self.key("rope.scaling.factor"),
                                      "original_max_position_embeddings": self.key("rope.scaling.original_context_length")}
        return dict(config, **more)


def ends(s, change=lambda matrix: matrix):
    s.put("model.embed_tokens.weight", "token_embd.weight")
    s.put("model.norm.weight", "output_norm.weight", change)
    s.put("lm_head.weight", "output.weight")


def llama_attention(s, i):
    blk, layer = f"blk.{i}.", f"model.layers.{i}."
    s.put(layer + "input_layernorm.weight", blk + "attn_norm.weight")
    s.put(layer + "self_attn.q_proj.weight", blk + "attn_q.weight", lambda m: m.halves(s.heads))
    s.put(layer + "self_attn.k_proj.weight", blk + "attn_k.weight", lambda m: m.halves(s.kv_heads))
    s.put(layer + "self_attn.v_proj.weight", blk + "attn_v.weight")
    s.put(layer + "self_attn.o_proj.weight", blk + "attn_output.weight")
    s.put(layer + "post_attention_layernorm.weight", blk + "ffn_norm.weight")


def gated(s, i):
    for name in ("gate", "up", "down"):
        s.put(f"model.layers.{i}.mlp.{name}_proj.weight", f"blk.{i}.ffn_{name}.weight")


def llama(s, name="LlamaForCausalLM", **config):
    ends(s)
    for i in range(s.layers):
        llama_attention(s, i)
        gated(s, i)
    return s.decoder_config(name, model_type="llama", **config)


def mistral(s):
    return llama(s, "MistralForCausalLM", sliding_window=None)


def mixtral(s):
    ends(s)
    experts = s.key("expert_count")
    for i in range(s.layers):
        llama_attention(s, i)
        moe = f"model.layers.{i}.block_sparse_moe."
        s.put(moe + "gate.weight", f"blk.{i}.ffn_gate_inp.weight")
        for e in range(experts):
            for theirs, ours in (("w1", "gate"), ("w2", "down"), ("w3", "up")):
                s.put(f"{moe}experts.{e}.{theirs}.weight", f"blk.{i}.ffn_{ours}_exps.weight", lambda m: m.part(e))
    return s.decoder_config("MixtralForCausalLM", num_local_experts=experts)


def granite_scales(s):
    names = {"attention_multiplier": "attention.scale", "embedding_multiplier": "embedding_scale",
             "residual_multiplier": "residual_scale", "logits_scaling": "logit_scale"}
    return {name: s.key(key) for name, key in names.items() if s.key(key) is not None}


def granite(s):
    return llama(s, "GraniteForCausalLM", **granite_scales(s))


def granite_moe(s):
    ends(s)
    for i in range(s.layers):
        llama_attention(s, i)
        moe = f"model.layers.{i}.block_sparse_moe."
        s.put(moe + "router.layer.weight", f"blk.{i}.ffn_gate_inp.weight")
        gate, up = s.get(f"blk.{i}.ffn_gate_exps.weight"), s.get(f"blk.{i}.ffn_up_exps.weight")
        s.out[moe + "input_linear.weight"] = stacked([joined(gate.part(e), up.part(e)) for e in range(gate.shape[0])]).stored()
        s.put(moe + "output_linear.weight", f"blk.{i}.ffn_down_exps.weight")
    return s.decoder_config("GraniteMoeForCausalLM", num_local_experts=s.key("expert_count"), **granite_scales(s))


def half_attention(s, i, change=lambda matrix: matrix):
    blk, layer = f"blk.{i}.", f"model.layers.{i}."
    s.put(layer + "input_layernorm.weight", blk + "attn_norm.weight", change)
    for theirs, ours in (("q_proj", "attn_q"), ("k_proj", "attn_k"), ("v_proj", "attn_v"), ("o_proj", "attn_output")):
        for kind in ("weight", "bias"):
            s.put(f"{layer}self_attn.{theirs}.{kind}", f"{blk}{ours}.{kind}")
    for theirs, ours in (("q_norm", "attn_q_norm"), ("k_norm", "attn_k_norm")):
        s.put(f"{layer}self_attn.{theirs}.weight", f"{blk}{ours}.weight", change)


def qwen(s, name):
    ends(s)
    for i in range(s.layers):
        half_attention(s, i)
        s.put(f"model.layers.{i}.post_attention_layernorm.weight", f"blk.{i}.ffn_norm.weight")
        gated(s, i)
    head = {} if s.key("attention.key_length") is None else {"head_dim": s.key("attention.key_length")}
    return s.decoder_config(name, **head)


def qwen2(s):
    return qwen(s, "Qwen2ForCausalLM")


def qwen3(s):
    return qwen(s, "Qwen3ForCausalLM")


def qwen3_bare(s):
    """Without a head, as models for embeddings are saved."""
    config = qwen(s, "Qwen3Model")
    s.out = {name.removeprefix("model."): tensor for name, tensor in s.out.items() if not name.startswith("lm_head.")}
    return dict(config, vocab_size=s.get("token_embd.weight").shape[0])


def qwen_moe(s, name, **config):
    base = qwen(s, name)
    for i in range(s.layers):
        mlp = f"model.layers.{i}.mlp."
        s.put(mlp + "gate.weight", f"blk.{i}.ffn_gate_inp.weight")
        for part in ("gate", "up", "down"):
            for e in range(s.key("expert_count")):
                s.put(f"{mlp}experts.{e}.{part}_proj.weight", f"blk.{i}.ffn_{part}_exps.weight", lambda m: m.part(e))
            s.put(f"{mlp}shared_expert.{part}_proj.weight", f"blk.{i}.ffn_{part}_shexp.weight")
        s.put(mlp + "shared_expert_gate.weight", f"blk.{i}.ffn_gate_inp_shexp.weight", lambda m: Matrix([1] + m.shape, m.values))
    return dict(base, num_experts=s.key("expert_count"), moe_intermediate_size=s.key("expert_feed_forward_length"), **config)


def qwen2_moe(s):
    shared = s.get("blk.0.ffn_gate_shexp.weight").shape[0]
    return qwen_moe(s, "Qwen2MoeForCausalLM", shared_expert_intermediate_size=shared)


def qwen3_moe(s):
    return qwen_moe(s, "Qwen3MoeForCausalLM", norm_topk_prob=True)


def gemma(s, name="GemmaForCausalLM", norms=None):
    """The published norms are what is added to 1."""
    less = Matrix.minus_one
    ends(s, less)
    for i in range(s.layers):
        half_attention(s, i, less)
        for theirs, ours in norms or [("post_attention_layernorm", "ffn_norm")]:
            s.put(f"model.layers.{i}.{theirs}.weight", f"blk.{i}.{ours}.weight", less)
        gated(s, i)
    return s.decoder_config(name, head_dim=s.key("attention.key_length", s.key("embedding_length") // s.heads))


GEMMA2_NORMS = [("post_attention_layernorm", "post_attention_norm"), ("pre_feedforward_layernorm", "ffn_norm"),
                ("post_feedforward_layernorm", "post_ffw_norm")]


def gemma2(s):
    config = gemma(s, "Gemma2ForCausalLM", GEMMA2_NORMS)
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if s.key(name) is not None:
            config[name] = s.key(name)
    return config


def gemma3(s):
    return gemma(s, "Gemma3ForCausalLM", GEMMA2_NORMS)


def gemma3_of_transformers_5(s):
    """A rope for each kind of layers."""
    config = gemma3(s)
    rope = {"rope_type": "default", "rope_theta": config.pop("rope_theta"), **config.pop("rope_scaling", {})}
    local = {"rope_type": "default", "rope_theta": s.key("rope.freq_base_swa", 10000.0)}
    return dict(config, rope_scaling=None, rope_parameters={"full_attention": rope, "sliding_attention": local})


def gemma3_with_eyes(s):
    """The text model inside one that sees pictures, as it has been published."""
    text = gemma(s, "Gemma3ForCausalLM", GEMMA2_NORMS)
    s.out = {"language_model." + name: tensor for name, tensor in s.out.items()}
    s.out["vision_tower.vision_model.embeddings.patch_embedding.bias"] = Matrix([2], [1, 2]).stored()
    s.out["multi_modal_projector.mm_input_projection_weight"] = Matrix([2, 2], [1, 2, 3, 4]).stored()
    return {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text, "vision_config": {"hidden_size": 2}}


def phi3(s):
    ends(s)
    for i in range(s.layers):
        blk, layer = f"blk.{i}.", f"model.layers.{i}."
        s.put(layer + "input_layernorm.weight", blk + "attn_norm.weight")
        s.out[layer + "self_attn.qkv_proj.weight"] = joined(*[s.get(f"{blk}attn_{x}.weight") for x in "qkv"]).stored()
        s.put(layer + "self_attn.o_proj.weight", blk + "attn_output.weight")
        s.put(layer + "post_attention_layernorm.weight", blk + "ffn_norm.weight")
        s.put(layer + "mlp.gate_up_proj.weight", blk + "ffn_up.weight")
        s.put(layer + "mlp.down_proj.weight", blk + "ffn_down.weight")
    original = s.key("rope.scaling.original_context_length", s.key("context_length"))
    return s.decoder_config("Phi3ForCausalLM", original_max_position_embeddings=original, rope_scaling={
        "type": "longrope", "long_factor": list(s.get("rope_factors_long.weight").values),
        "short_factor": list(s.get("rope_factors_short.weight").values),
        "attention_factor": s.key("rope.scaling.attn_factor")})


def olmo2(s):
    ends(s)
    for i in range(s.layers):
        half_attention(s, i)
        s.put(f"model.layers.{i}.post_attention_layernorm.weight", f"blk.{i}.post_attention_norm.weight")
        s.put(f"model.layers.{i}.post_feedforward_layernorm.weight", f"blk.{i}.post_ffw_norm.weight")
        gated(s, i)
    return s.decoder_config("Olmo2ForCausalLM")


def gpt_oss(s):
    """Experts in one parameter each, for products from the left, gates and ups by turns."""
    ends(s)
    for i in range(s.layers):
        blk, layer = f"blk.{i}.", f"model.layers.{i}."
        half_attention(s, i)
        s.put(layer + "self_attn.sinks", blk + "attn_sinks.weight")
        s.put(layer + "post_attention_layernorm.weight", blk + "post_attention_norm.weight")
        for kind in ("weight", "bias"):
            s.put(f"{layer}mlp.router.{kind}", f"{blk}ffn_gate_inp.{kind}")
        experts = layer + "mlp.experts."
        gate, up = s.get(blk + "ffn_gate_exps.weight"), s.get(blk + "ffn_up_exps.weight")
        count = range(gate.shape[0])
        s.out[experts + "gate_up_proj"] = stacked([interleaved(gate.part(e), up.part(e)).transposed() for e in count]).stored()
        down = s.get(blk + "ffn_down_exps.weight")
        s.out[experts + "down_proj"] = stacked([down.part(e).transposed() for e in count]).stored()
        gate, up = s.get(blk + "ffn_gate_exps.bias"), s.get(blk + "ffn_up_exps.bias")
        s.out[experts + "gate_up_proj_bias"] = stacked([interleaved(gate.part(e), up.part(e)) for e in count]).stored()
        s.put(experts + "down_proj_bias", blk + "ffn_down_exps.bias")
    return s.decoder_config("GptOssForCausalLM", num_local_experts=s.key("expert_count"))


def encoder_config(s, name, **more):
    return dict({"architectures": [name], "hidden_size": s.key("embedding_length"), "num_hidden_layers": s.layers,
                 "intermediate_size": s.key("feed_forward_length"), "num_attention_heads": s.heads,
                 "max_position_embeddings": s.key("context_length"), "layer_norm_eps": s.key("attention.layer_norm_epsilon"),
                 "vocab_size": s.get("token_embd.weight").shape[0], "type_vocab_size": 2}, **more)


def bert(s, name="BertModel", prefix="", **config):
    def both(theirs, ours):
        for kind in ("weight", "bias"):
            s.put(f"{prefix}{theirs}.{kind}", f"{ours}.{kind}")

    s.put(prefix + "embeddings.word_embeddings.weight", "token_embd.weight")
    s.put(prefix + "embeddings.position_embeddings.weight", "position_embd.weight")
    s.put(prefix + "embeddings.token_type_embeddings.weight", "token_types.weight")
    both("embeddings.LayerNorm", "token_embd_norm")
    for i in range(s.layers):
        blk, layer = f"blk.{i}.", f"encoder.layer.{i}."
        for theirs, ours in (("query", "attn_q"), ("key", "attn_k"), ("value", "attn_v")):
            both(f"{layer}attention.self.{theirs}", blk + ours)
        both(layer + "attention.output.dense", blk + "attn_output")
        both(layer + "attention.output.LayerNorm", blk + "attn_output_norm")
        both(layer + "intermediate.dense", blk + "ffn_up")
        both(layer + "output.dense", blk + "ffn_down")
        both(layer + "output.LayerNorm", blk + "layer_output_norm")
    s.out[prefix + "pooler.dense.bias"] = Matrix([1], [0]).stored()
    return encoder_config(s, name, **{"model_type": "bert", **config})


def bert_for_masks(s):
    config = bert(s, "BertForMaskedLM", "bert.")
    s.out["cls.predictions.bias"] = Matrix([1], [0]).stored()
    return config


def xlm_roberta(s):
    """Positions count from two, and the table has rows for what is before."""
    config = bert(s, "XLMRobertaModel", model_type="xlm-roberta", pad_token_id=1)
    table = s.get("position_embd.weight")
    padding = Matrix([2, table.shape[1]], [9.0] * (2 * table.shape[1]))
    s.out["embeddings.position_embeddings.weight"] = joined(padding, table).stored()
    return dict(config, model_type="xlm-roberta", max_position_embeddings=table.shape[0] + 2)


def xlm_roberta_for_masks(s):
    """With the head that it was trained with."""
    config = xlm_roberta(s)
    s.out = {"roberta." + name: tensor for name, tensor in s.out.items()}
    for name in ("bias", "dense.weight", "dense.bias", "layer_norm.weight", "layer_norm.bias", "decoder.weight", "decoder.bias"):
        s.out["lm_head." + name] = Matrix([1], [0]).stored()
    return dict(config, architectures=["XLMRobertaForMaskedLM"])


def bert_by_tensorflow(s):
    """The oldest files name the parts of a norm otherwise."""
    config = bert_for_masks(s)
    for old, usual in (("gamma", "weight"), ("beta", "bias")):
        s.out = {name.replace(f"LayerNorm.{usual}", f"LayerNorm.{old}"): tensor for name, tensor in s.out.items()}
    return config


def nomic(s):
    def both(theirs, ours):
        for kind in ("weight", "bias"):
            s.put(f"{theirs}.{kind}", f"{ours}.{kind}")

    s.put("embeddings.word_embeddings.weight", "token_embd.weight")
    s.put("embeddings.token_type_embeddings.weight", "token_types.weight")
    both("emb_ln", "token_embd_norm")
    for i in range(s.layers):
        blk, layer = f"blk.{i}.", f"encoder.layers.{i}."
        for kind in ("weight", "bias"):
            s.out[f"{layer}attn.Wqkv.{kind}"] = joined(*[s.get(f"{blk}attn_{x}.{kind}") for x in "qkv"]).stored()
        both(layer + "attn.out_proj", blk + "attn_output")
        both(layer + "norm1", blk + "attn_output_norm")
        both(layer + "norm2", blk + "layer_output_norm")
        if s.has(blk + "ffn_gate.weight"):
            s.put(layer + "mlp.fc11.weight", blk + "ffn_up.weight")
            s.put(layer + "mlp.fc12.weight", blk + "ffn_gate.weight")
        else:
            both(layer + "mlp.fc1", blk + "ffn_up")
        both(layer + "mlp.fc2", blk + "ffn_down")
    return {"architectures": ["NomicBertModel"], "n_embd": s.key("embedding_length"), "n_layer": s.layers, "n_head": s.heads,
            "n_inner": s.key("feed_forward_length"), "n_positions": s.key("context_length"), "type_vocab_size": 2,
            "layer_norm_epsilon": s.key("attention.layer_norm_epsilon"), "rotary_emb_base": 10000,
            "vocab_size": s.get("token_embd.weight").shape[0]}


def nomic_moe(s):
    """Experts one below the other, the second matrix of each for products from the left."""
    config = nomic(s)
    for i in range(s.layers):
        blk, mlp = f"blk.{i}.", f"encoder.layers.{i}.mlp."
        if not s.has(blk + "ffn_up_exps.weight"):
            continue
        s.put(mlp + "router.layer.weight", blk + "ffn_gate_inp.weight")
        up, down = s.get(blk + "ffn_up_exps.weight"), s.get(blk + "ffn_down_exps.weight")
        count = range(up.shape[0])
        s.out[mlp + "experts.mlp.w1"] = joined(*[up.part(e) for e in count]).stored()
        s.out[mlp + "experts.mlp.w2"] = joined(*[down.part(e).transposed() for e in count]).stored()
        s.out[mlp + "experts.bias"] = Matrix([down.shape[1]], [0] * down.shape[1]).stored()
    return dict(config, num_experts=s.key("expert_count"), moe_top_k=s.key("expert_used_count"),
                moe_every_n_layers=s.key("moe_every_n_layers"), max_trained_positions=2048)


def write(folder, gguf, family, shards=1, pooling=None, change=None):
    """The oracle `gguf` as a checkpoint of `family` (a function of this file) in `folder`."""
    source = Source(gguf)
    config = family(source)
    if change:
        change(config, source.out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    names = list(source.out)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", source.out)
    else:
        places = {}
        for i in range(shards):
            name = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            part = names[i::shards]
            write_safetensors(folder / name, {key: source.out[key] for key in part})
            places.update({key: name for key in part})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    if pooling:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        modes = {1: "pooling_mode_mean_tokens", 2: "pooling_mode_cls_token", 3: "pooling_mode_lasttoken"}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({mode: kind == pooling for kind, mode in modes.items()}))
    return config
