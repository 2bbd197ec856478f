"""WooCommerce: what its webhooks say, whether they are genuine, and the few questions that we ask a store by REST."""
