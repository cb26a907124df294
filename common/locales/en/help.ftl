### Texts: help.
