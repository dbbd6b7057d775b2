"""What the OpenAI-compatible server is made of; `apps.server` puts it together."""
