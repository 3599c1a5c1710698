"""How much is too much: call limits of keys, alone and with other nodes, and the sending rate of an endpoint."""
