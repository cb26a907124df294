### Textes : agent.
