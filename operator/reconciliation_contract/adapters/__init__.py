"""One outside system a module. Each converts its system's errors into ours at this edge."""
