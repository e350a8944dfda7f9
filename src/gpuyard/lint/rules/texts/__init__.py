"""What is wrong with a text or with a suppression, before any rule about GPUs has a say."""
