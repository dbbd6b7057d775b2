"""The programs: a chat page in the browser, and the `workbench` command."""
