"""What is done about hand-outs: creating and managing them, resending, exporting."""
