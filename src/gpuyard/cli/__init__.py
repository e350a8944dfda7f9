"""Arguments in, a call, something readable out: the commands, and no logic of their own."""
