"""Pictures of single checks: losses beside each other, and the curve of an overfit test."""
