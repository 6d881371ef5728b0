"""What the end-to-end tests share: the binary, a receiver, payout bodies, and waiting with a time limit."""
