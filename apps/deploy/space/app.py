"""The chat page as a Hugging Face Space: what the Space starts, beside the packages it needs."""

from apps.chat import main

ARGUMENTS = [
    *("--host", "0.0.0.0", "--port", "7860"),  # where the Space's proxy looks for it
    *("--framed-by", "https://huggingface.co"),  # which shows the Space on a page of its own
]

if __name__ == "__main__":
    main(ARGUMENTS)
