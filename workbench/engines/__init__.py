"""Other engines that run a Llama 4: vLLM, SGLang, and our own server somewhere else.

`connect` asks them (the same as `workbench.connect`); what they tell becomes an ordinary trace. What vLLM and
SGLang send is read as their documentation and their code have it: neither was at hand to be run.
"""
