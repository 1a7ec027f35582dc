"""How did our own tables become what they are? One revision for each change, oldest first."""
