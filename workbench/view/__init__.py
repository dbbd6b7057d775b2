"""One linked view of a trace, shown in a notebook, in a page to share and in the chat app."""
