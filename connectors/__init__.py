"""Store platforms, inward: verify and read native webhooks into one model. Imports nothing of the rest of the house."""
