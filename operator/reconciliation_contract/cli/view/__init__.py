"""What a person sees: objects in, text for a terminal out. No requests."""
