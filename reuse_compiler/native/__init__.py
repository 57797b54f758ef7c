"""The native side of a session: what kernels say of a frame, and when a session had better do without them."""
