"""The commands, by topic; `app.cli` lists them."""
