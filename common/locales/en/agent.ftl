### Texts: agent.
