"""The whole platform on a kind cluster of this checkout's own: what ``make kind-up`` and its fellows do."""
