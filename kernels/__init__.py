"""Arithmetic on tensors: each function is plain PyTorch, some with a faster twin in Triton."""
