"""Every size of a module with its meaning: what may stand beside a preset, or a kind"""

from curriculum.words import Table, Word

SIZES: Table = {
    name: Word("size", means)
    for name, means in {
        "hidden": "Width of the stream that layers read and add to.",
        "num_layers": "How many layers there are.",
        "num_heads": "Attention heads of the queries.",
        "num_kv_heads": "Heads of keys and values; several queries share one.",
        "head_dim": "Numbers in a query, a key and a value of one head.",
        "rope_dim": "Of the numbers of a head, how many RoPE turns, from the first on (GLM-4.5).",
        "ffn_dim": "Inner width of a dense feed-forward.",
        "gated": "Whether the feed-forward is SwiGLU (three matrices), not up, GELU, down.",
        "qkv_bias": "Whether queries, keys and values have biases (Qwen2).",
        "qk_norm": "Whether queries and keys are normed (Qwen3, OLMo 2).",
        "qk_norm_whole": "Norm queries and keys over all heads together (OLMo 2), not each head.",
        "norm_after": "Norm what a layer adds to the stream (OLMo 2), not what it reads.",
        "nope_every": "Every n-th layer has no RoPE (SmolLM3), or `none`.",
        "window": "Positions that a local layer sees, or `none`: all layers see everything.",
        "full_attention_every": "Beside `window`: every n-th layer sees everything.",
        "vocab": "How many tokens the vocabulary has; `reshape` may grow it.",
        "max_positions": "The longest context that the published model is made for.",
        "rms_eps": "Epsilon of RMSNorm.",
        "layer_norm_eps": "Epsilon of LayerNorm.",
        "tied_embeddings": "Whether the embeddings are the head too; then there is no part `head`.",
        "num_dense_layers": "First layers, with a dense feed-forward in the place of experts.",
        "kv_lora_rank": "Width of the latent that keys and values come from (MLA).",
        "q_lora_rank": "Width that queries are compressed to (MLA), or `none`.",
        "qk_nope_head_dim": "Numbers of a query and key that RoPE leaves alone (MLA).",
        "qk_rope_head_dim": "Numbers of a query and key that RoPE turns (MLA).",
        "v_head_dim": "Length of a value of one head (MLA).",
        "expert_dim": "Inner width of one expert.",
        "num_experts": "Routed experts of a layer.",
        "num_shared_experts": "Experts that every token goes through.",
        "top_k": "Routed experts that one token goes through.",
        "softmax_router": "Whether the router's scores are a softmax over all experts (Qwen3, "
        "Mixtral, OLMoE), not a sigmoid of each (DeepSeek-V3, GLM-4.5).",
        "routed_scaling": "What the weights of a token's routed experts sum to; `none`: they are "
        "the router's scores (OLMoE).",
        "mlp_dim": "Inner width of the feed-forward.",
        "patch": "Pixels a side of one patch.",
        "position_rows": "Rows of the learned grid of positions, in patches.",
        "position_columns": "Columns of the learned grid of positions, in patches.",
        "rope_base": "Base of the ViT's own 2D RoPE, or `none`: positions are learned alone.",
        "merge": "Patches a side that one LLM position is made of.",
        "channels": "Colours of a pixel: 3.",
        "vit_hidden": "Width of the ViT that is read.",
        "llm_hidden": "Width of the LLM that is written for.",
        "pool_mlp_dim": "Inner width of the pooling head's feed-forward.",
        "params": "Of a module known by counts: its parameters, embeddings included: `7.3B`.",
        "active_params": "Of a module known by counts: those that work on one token.",
        "image_patches": "Of a ViT known by counts: patches of one image.",
    }.items()
}
"""Fields of the shapes in models/; a preset says in an error which of them it has."""
