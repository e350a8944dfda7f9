"""What listens: the admission webhook. Everything here is a host; the deciding is done below it."""
