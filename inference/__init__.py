"""From an adapter to headshots: styles, prompts, the renderer, ranking, finishing, credentials."""
