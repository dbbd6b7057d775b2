"""Llama 4 itself: from a chat message with pictures to logits."""
