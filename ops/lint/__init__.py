"""What holds the repository to its own rules: style, types, imports, deployments, docs, scripts. See ``make lint``."""
