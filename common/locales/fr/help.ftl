### Textes : help.
