"""Python imports this before anything else in a process that a test starts, and the process stays at home."""

import guard

guard.close()
