### Textes : server.
