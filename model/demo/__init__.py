"""The demo model: its pictures, its dialogues, how it is trained and how it is tested."""
