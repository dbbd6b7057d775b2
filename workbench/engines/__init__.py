"""Other engines that run a Llama 4: vLLM, SGLang, and our own server somewhere else.

`connect` asks them (the same as `workbench.connect`); what they tell becomes an ordinary trace.
"""
