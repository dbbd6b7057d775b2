"""The programs: a chat page in the browser."""
