### Texts: server.
