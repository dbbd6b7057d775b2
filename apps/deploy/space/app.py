"""The chat page as a Hugging Face Space: what the Space starts, beside the packages it needs."""

import sys

from apps.chat import main

if __name__ == "__main__":
    # the Space's proxy looks for port 7860 on every address
    sys.argv[1:] = ["--host", "0.0.0.0", "--port", "7860"]
    main()
